//! Amounts of bytes, as people read them: in powers of a thousand, with one digit behind the point.

/// `0 B`, `999 B`, `2.5 MB`.
pub fn bytes_for_people(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    let unit = UNITS.iter().find(|(size, _)| bytes >= *size);
    unit.map_or_else(
        || format!("{bytes} B"),
        |(size, name)| {
            let tenths = bytes / (size / 10);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_amount_is_short() {
        let check = |bytes, expected: &str| assert_eq!(bytes_for_people(bytes), expected, "{bytes}");
        check(0, "0 B");
        check(999, "999 B");
        check(1_000, "1.0 kB");
        check(2_549_999, "2.5 MB");
        check(999_999_999, "999.9 MB");
        check(u64::MAX, "18446744.0 TB");
    }
}
