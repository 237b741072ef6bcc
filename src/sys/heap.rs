//! The heap: blocks of powers of two, a list of free ones for each size. libc's malloc is made for programs that run
//! for long with many threads; it is 9 KB of code and six system calls before the first byte, this asks the kernel for
//! nothing until [`FIRST`] is used up.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::{Cell, UnsafeCell};

/// Bytes that every process has without asking; pages of it that are never touched cost nothing.
const FIRST: usize = 64 * 1024;

/// Bytes that the kernel is asked for at once after that.
const CHUNK: usize = 256 * 1024;

/// The smallest block, and the alignment of all: what C's malloc promises.
const SMALLEST: usize = 16;

/// What the heap begins with.
#[repr(align(16))]
struct First(UnsafeCell<[u8; FIRST]>);

/// The allocator of the whole program.
pub(crate) struct Heap {
    /// By the logarithm of their size: the first free block, which holds the address of the next.
    free: [Cell<*mut u8>; usize::BITS as usize],
    /// The first byte that was never given out; null before the first call.
    next: Cell<*mut u8>,
    /// How many bytes there are from there on.
    left: Cell<usize>,
    /// See [`FIRST`].
    first: First,
}

// SAFETY: there is one thread. A child that borrows our memory (`spawn`) suspends us, and does not allocate.
unsafe impl Sync for Heap {}

impl Heap {
    /// An empty one; all bytes zero, so that it takes no room in the file.
    #[allow(clippy::large_stack_arrays, reason = "it is made by the compiler, for a static")]
    pub(crate) const fn new() -> Self {
        Self {
            free: [const { Cell::new(std::ptr::null_mut()) }; usize::BITS as usize],
            next: Cell::new(std::ptr::null_mut()),
            left: Cell::new(0),
            first: First(UnsafeCell::new([0; FIRST])),
        }
    }

    /// The list of free blocks that are as large as this layout needs; `None` where no block can be.
    fn list(&self, size: usize) -> Option<(&Cell<*mut u8>, usize)> {
        let size = size.max(SMALLEST).checked_next_power_of_two()?;
        Some((self.free.get(size.trailing_zeros() as usize)?, size))
    }

    /// A block that was never given out; null if the kernel has no memory.
    fn carve(&self, size: usize, align: usize) -> *mut u8 {
        if self.next.get().is_null() {
            self.next.set(self.first.0.get().cast());
            self.left.set(FIRST);
        }
        let gap = self.next.get().align_offset(align);
        if gap.saturating_add(size) > self.left.get() {
            return self.extend(size, align);
        }
        self.left.set(self.left.get() - gap - size);
        let block = self.next.get().wrapping_add(gap);
        self.next.set(block.wrapping_add(size));
        block
    }

    /// Gets more from the kernel by `mmap(2)`; what is left of the old chunk is forgotten.
    #[cold]
    fn extend(&self, size: usize, align: usize) -> *mut u8 {
        let Some(length) = size.checked_add(align) else { return std::ptr::null_mut() };
        let length = length.max(CHUNK);
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        #[cfg(target_pointer_width = "64")]
        let call = libc::SYS_mmap;
        #[cfg(not(target_pointer_width = "64"))]
        let call = libc::SYS_mmap2; // which counts in pages from where on; from 0 on it is the same
        // SAFETY: the kernel chooses a place where nothing is.
        let chunk = unsafe { libc::syscall(call, 0usize, length, prot, flags, -1, 0usize) };
        if chunk == -1 {
            return std::ptr::null_mut();
        }
        self.next.set(std::ptr::with_exposed_provenance_mut(chunk as usize));
        self.left.set(length);
        self.carve(size, align)
    }
}

// SAFETY: every block is carved once from memory of ours, at least as large and aligned as asked, and is given out
// again only after it came back.
#[allow(clippy::cast_ptr_alignment, reason = "every block is aligned to 16 bytes at least")]
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((list, size)) = self.list(layout.size()) else { return std::ptr::null_mut() };
        let block = list.get();
        if block.is_null() || layout.align() > SMALLEST {
            return self.carve(size, layout.align().max(SMALLEST));
        }
        // SAFETY: a free block is at least as large as a pointer and holds the next one, see `dealloc`.
        list.set(unsafe { block.cast::<*mut u8>().read() });
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some((list, _)) = self.list(layout.size()) else { return };
        // SAFETY: the block is aligned, large enough, and its owner has given it up.
        unsafe { block.cast::<*mut u8>().write(list.get()) };
        list.set(block);
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if self.list(layout.size()).map(|(_, size)| size) == self.list(new_size).map(|(_, size)| size) {
            return block;
        }
        let Ok(new_layout) = Layout::from_size_align(new_size, layout.align()) else {
            return std::ptr::null_mut();
        };
        // SAFETY: the caller has promised a size above 0.
        let new = unsafe { self.alloc(new_layout) };
        if !new.is_null() {
            // SAFETY: two blocks of ours, each at least as long as the shorter size.
            unsafe { std::ptr::copy_nonoverlapping(block, new, layout.size().min(new_size)) };
            // SAFETY: it was given out with this layout.
            unsafe { self.dealloc(block, layout) };
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A layout.
    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn blocks_are_apart_aligned_and_used_again() {
        let heap = Heap::new();
        let mut blocks = Vec::new();
        for (size, align) in [(1, 1), (16, 16), (17, 8), (100, 64), (5000, 4096), (FIRST, 1), (1 << 20, 16)] {
            // SAFETY: no size is 0.
            let block = unsafe { heap.alloc(layout(size, align)) };
            assert_eq!(block.align_offset(align.max(SMALLEST)), 0, "{size} {align}");
            // SAFETY: the block is that long.
            unsafe { block.write_bytes(u8::try_from(blocks.len()).unwrap(), size) };
            blocks.push((block, size, align));
        }
        for (index, (block, size, align)) in blocks.into_iter().enumerate() {
            // SAFETY: the block is that long and was filled.
            let bytes = unsafe { std::slice::from_raw_parts(block, size) };
            assert!(bytes.iter().all(|byte| usize::from(*byte) == index), "{size} {align}");
            // SAFETY: it was given out with this layout.
            unsafe { heap.dealloc(block, layout(size, align)) };
            // SAFETY: no size is 0.
            let again = unsafe { heap.alloc(layout(size, 1)) };
            assert_eq!(again, block, "{size}: not used again");
        }
    }

    #[test]
    fn a_block_that_grows_keeps_what_it_holds() {
        let heap = Heap::new();
        // SAFETY: no size is 0.
        let block = unsafe { heap.alloc(layout(20, 1)) };
        // SAFETY: the block is that long.
        unsafe { block.write_bytes(7, 20) };
        // SAFETY: given out with this layout; the sizes do not overflow.
        let same = unsafe { heap.realloc(block, layout(20, 1), 32) };
        assert_eq!(same, block, "a block of 32 has room for it");
        // SAFETY: same.
        let moved = unsafe { heap.realloc(same, layout(32, 1), 300) };
        // SAFETY: the first 20 bytes were written.
        let bytes = unsafe { std::slice::from_raw_parts(moved, 20) };
        assert_eq!(bytes, [7; 20]);
    }

    #[test]
    fn what_cannot_be_had_is_null() {
        let heap = Heap::new();
        // SAFETY: no size is 0.
        assert!(unsafe { heap.alloc(layout(isize::MAX as usize, 1)) }.is_null());
    }
}
