//! DynamoDB's numbers: decimal, exact, up to 38 significant digits. Pure.

use std::cmp::Ordering;
use std::fmt;

use super::error::DynamoError;

/// The most significant digits (Developer Guide, "Naming rules and data types").
const MOST_DIGITS: usize = 38;

/// The bounds of the exponent of the first digit: from 1E-130 to 9.9…E+125.
const EXPONENTS: std::ops::RangeInclusive<i64> = -130..=125;

/// A decimal number in its normal form, so that `1`, `1.0` and `1e0` are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    negative: bool,
    /// The significant digits, 0 to 9, without zeros at either end; none for 0.
    digits: Vec<u8>,
    /// The power of ten of the first digit.
    exponent: i64,
}

impl Number {
    /// Returns a whole number.
    pub(crate) fn whole(value: i64) -> Self {
        let digits: Vec<u8> = value.unsigned_abs().to_string().bytes().map(|digit| digit - b'0').collect();
        let last = i64::try_from(digits.len()).unwrap_or_default() - 1;
        Self::normal(value < 0, digits, last)
    }

    /// Parses `-12.50`, `1e3` and the like.
    pub(crate) fn parse(text: &str) -> Result<Self, DynamoError> {
        let wrong = || DynamoError::validation(format!("The parameter cannot be converted to a numeric value: {text}"));
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| wrong())?),
            None => (text, 0),
        };
        let (negative, mantissa) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|byte| byte.wrapping_sub(b'0')).collect();
        if digits.is_empty() || digits.iter().any(|digit| *digit > 9) {
            return Err(wrong());
        }
        let first = i64::try_from(whole.len()).map_err(|_| wrong())? - 1 + i64::from(exponent);
        let number = Self::normal(negative, digits, first);
        if number.digits.len() > MOST_DIGITS {
            return Err(DynamoError::validation("Attempting to store more than 38 significant digits in a Number"));
        }
        if !number.digits.is_empty() && !EXPONENTS.contains(&number.exponent) {
            let message = "Number overflow. Attempting to store a number with magnitude outside of the supported range";
            return Err(DynamoError::validation(message));
        }
        Ok(number)
    }

    fn normal(negative: bool, mut digits: Vec<u8>, first: i64) -> Self {
        let zeros = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..zeros);
        while digits.last() == Some(&0) {
            digits.pop();
        }
        if digits.is_empty() {
            return Self { negative: false, digits, exponent: 0 };
        }
        Self { negative, digits, exponent: first - i64::try_from(zeros).unwrap_or_default() }
    }

    /// Returns the sum of two whole numbers below 2^63, which is what counters are; `None` for other numbers.
    pub(crate) fn add(&self, other: &Self, negated: bool) -> Option<Self> {
        let (a, b): (i64, i64) = (self.to_string().parse().ok()?, other.to_string().parse().ok()?);
        let sum = if negated { a.checked_sub(b) } else { a.checked_add(b) };
        sum.map(Self::whole)
    }

    /// Returns its size in bytes: two digits a byte, and one more.
    pub(crate) fn size(&self) -> usize {
        1 + self.digits.len().div_ceil(2)
    }

    fn compare_size(&self, other: &Self) -> Ordering {
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits)),
        }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.compare_size(other),
            (true, true) => other.compare_size(self),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Number {
    /// Writes the number in full, without an exponent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        let last = self.exponent - i64::try_from(self.digits.len()).unwrap_or_default() + 1;
        for place in (last.min(0)..=self.exponent.max(0)).rev() {
            if place == -1 {
                f.write_str(".")?;
            }
            let digit = usize::try_from(self.exponent - place).ok().and_then(|index| self.digits.get(index));
            write!(f, "{}", digit.copied().unwrap_or(0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn numbers_are_written_in_their_normal_form() {
        for (text, normal) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("007", "7"),
            ("1.0", "1"),
            ("-12.50", "-12.5"),
            ("1e3", "1000"),
            ("12e-4", "0.0012"),
            (".5", "0.5"),
            ("1795507200", "1795507200"),
        ] {
            assert_eq!(number(text).to_string(), normal, "{text}");
        }
        assert_eq!(Number::whole(-120), number("-120"));
        assert_eq!(Number::whole(0), number("0"));
    }

    #[test]
    fn numbers_are_ordered_by_size() {
        let sorted = ["-100", "-9.5", "-9", "-0.1", "0", "0.01", "0.1", "2", "10", "10.5", "1e2"];
        for pair in sorted.windows(2) {
            assert!(number(pair[0]) < number(pair[1]), "{pair:?}");
        }
        assert_eq!(number("1.0").cmp(&number("1")), Ordering::Equal);
    }

    #[test]
    fn text_and_numbers_out_of_range_are_refused() {
        for wrong in ["", "-", ".", "one", "1a", "1e", "1e999", "0x1", "1 ", "123456789012345678901234567890123456789"]
        {
            assert!(Number::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn counters_are_added_and_subtracted() {
        assert_eq!(number("41").add(&number("1"), false), Some(number("42")));
        assert_eq!(number("1").add(&number("2"), true), Some(number("-1")));
        assert_eq!(number("1.5").add(&number("1"), false), None);
    }
}
