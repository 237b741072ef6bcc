//! Numbers as docker's users write them.

/// Bytes: a number with an optional b, k, m, g or t (powers of 1024, any case, an optional further b).
pub(crate) fn parse_bytes(text: &str) -> Option<u64> {
    let mut digits = text.as_bytes();
    if let [before @ .., b'b' | b'B'] = digits {
        digits = before;
    }
    let (last, before) = digits.split_last()?;
    let shift = match last.to_ascii_lowercase() {
        b'k' => 10,
        b'm' => 20,
        b'g' => 30,
        b't' => 40,
        _ => 0,
    };
    if shift > 0 {
        digits = before;
    }
    if digits.first() == Some(&b'+') {
        return None;
    }
    crate::text::number::<u64>(digits)?.checked_mul(1 << shift)
}

/// A decimal fraction in thousandths: `0.5` is 500. At most three places count, more are refused.
pub(crate) fn parse_thousandths(text: &str) -> Option<u64> {
    let (mut value, mut digits, mut places) = (0u64, 0, None);
    for byte in text.bytes() {
        match byte {
            b'.' if places.is_none() => places = Some(0),
            b'0'..=b'9' if places != Some(3) => {
                value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
                places = places.map(|places| places + 1);
                digits += 1;
            }
            _ => return None,
        }
    }
    let missing = 3 - places.unwrap_or(0);
    if digits == 0 { None } else { value.checked_mul(10u64.pow(missing)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        for (text, want) in [
            ("0", Some(0)),
            ("512", Some(512)),
            ("512b", Some(512)),
            ("64k", Some(65_536)),
            ("64m", Some(67_108_864)),
            ("64MB", Some(67_108_864)),
            ("1G", Some(1_073_741_824)),
            ("1t", Some(1_099_511_627_776)),
            ("", None),
            ("b", None),
            ("m", None),
            ("1.5g", None),
            ("-1", None),
            ("+1", None),
            ("1x", None),
            ("99999999999t", None),
        ] {
            assert_eq!(parse_bytes(text), want, "{text}");
        }
    }

    #[test]
    fn fractions_are_exact() {
        for (text, want) in [
            ("1", Some(1000)),
            ("0.5", Some(500)),
            (".25", Some(250)),
            ("1.5", Some(1500)),
            ("2.", Some(2000)),
            ("0.001", Some(1)),
            ("0.0001", None),
            (".", None),
            ("", None),
            ("1,5", None),
            ("-1", None),
            ("1e3", None),
        ] {
            assert_eq!(parse_thousandths(text), want, "{text}");
        }
    }
}
