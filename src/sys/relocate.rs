//! The first instructions of the process, where the linker has packed the relocations of our file (`DT_RELR`, a bit
//! for each pointer instead of 24 bytes): musl applies those only since 1.2.4.
//!
//! build.rs makes this the entry point where it asks the linker to pack; elsewhere the C runtime's own start is it. That
//! is not called from here: all it would do is look for relocations of the other kinds, of which .ci/check-file knows that
//! there are none, with 500 bytes of code.

/// `DT_RELR`, elf(5) of man-pages 6: where the packed relocations begin.
const RELR: usize = 36;
/// `DT_RELRSZ`: how many bytes they are.
const RELR_SIZE: usize = 35;

/// Where the kernel starts us: the stack has the number of arguments, then the arguments. musl finds the environment
/// behind them, and calls `main`.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn launcher_start() -> ! {
    core::arch::naked_asm!(
        "lea rdi, [rip + __ehdr_start]",
        "lea rsi, [rip + _DYNAMIC]",
        "call {relocate}",
        "mov esi, [rsp]",
        "lea rdx, [rsp + 8]",
        "lea rdi, [rip + main]",
        "and rsp, -16", // nothing comes back, so the call below is where frames begin
        "xor ebp, ebp",
        "call __libc_start_main",
        "ud2",
        relocate = sym relocate,
    )
}

/// Adds to every pointer in our data where the kernel has put us: until then no static that holds one may be read.
///
/// # Safety
/// `base` is where the first byte of our file lies, `dynamic` its dynamic section, all of it as loaded.
unsafe extern "C" fn relocate(base: *mut usize, mut dynamic: *mut [usize; 2]) {
    let (mut packed, mut size) = (base, 0);
    loop {
        // SAFETY: the section is writable and ends with a tag of 0, after which we do not look.
        let [tag, value] = unsafe { &mut *dynamic };
        match *tag {
            0 => break,
            RELR => packed = base.wrapping_byte_add(*value),
            RELR_SIZE => size = std::mem::take(value), // a musl that knows them shall find none left
            _ => {}
        }
        dynamic = dynamic.wrapping_add(1);
    }
    let end = packed.wrapping_byte_add(size);
    let mut next = base;
    while packed < end {
        // SAFETY: the linker says that the table reaches up to `end`.
        let entry = unsafe { *packed };
        packed = packed.wrapping_add(1);
        // An even entry is the place of a pointer; an odd one has a bit for each of the 63 words after the last place.
        let bits = if entry & 1 == 0 {
            next = base.wrapping_byte_add(entry);
            1
        } else {
            entry >> 1
        };
        for bit in 0..usize::BITS as usize - 1 {
            if bits >> bit & 1 == 1 {
                // SAFETY: the linker says that a pointer lies there.
                unsafe { *next.wrapping_add(bit) += base.addr() };
            }
        }
        next = next.wrapping_add(if entry & 1 == 0 { 1 } else { usize::BITS as usize - 1 });
    }
}
