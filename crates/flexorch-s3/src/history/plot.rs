//! Bars of block characters that fit the terminal. Pure.

use super::columns::style_of;
use super::counts::Counts;
use crate::output::styled;
use crate::tracking::State;

/// The bar of a terminal whose width is not known.
const USUAL: usize = 40;
/// The shortest bar that says anything.
const SHORTEST: usize = 10;
/// The longest: longer ones are no easier to compare.
const LONGEST: usize = 60;

/// The states of a bar, in its order, with their characters, which differ also without colors.
const PARTS: [(State, char); 4] =
    [(State::Processed, '█'), (State::Submitted, '░'), (State::Failed, '▓'), (State::Rejected, '▒')];

/// Returns how long the longest bar is, next to text of this width.
pub(crate) fn room(terminal: Option<usize>, text: usize) -> usize {
    terminal.map_or(USUAL, |width| width.saturating_sub(text)).clamp(SHORTEST, LONGEST)
}

/// Returns what the characters mean.
pub(crate) fn legend() -> String {
    let parts = PARTS.map(|(state, block)| format!("{} {}", styled(style_of(state), block), state.word()));
    parts.join("  ")
}

/// Returns the bar of some counts, if `most` of them are `room` characters. A count that is not zero is never invisible.
pub(crate) fn bar(counts: &Counts, most: u64, room: usize) -> String {
    let numbers = PARTS.map(|(state, block)| (state, block, number_of(counts, state)));
    let lengths = lengths(numbers.map(|(_, _, number)| number), most, room);
    let parts = numbers.iter().zip(lengths).filter(|(_, length)| *length > 0);
    parts.map(|((state, block, _), length)| styled(style_of(*state), block.to_string().repeat(length))).collect()
}

fn number_of(counts: &Counts, state: State) -> u64 {
    match state {
        State::Submitted => counts.open,
        State::Processed => counts.processed,
        State::Failed => counts.failed,
        State::Rejected => counts.rejected,
    }
}

/// Divides a bar. What rounding up adds to small parts is taken from the largest, so that the bar is never longer than `room`.
fn lengths(numbers: [u64; 4], most: u64, room: usize) -> [usize; 4] {
    let scale = room as f64 / most.max(1) as f64;
    let mut lengths = numbers.map(|number| match number {
        0 => 0,
        number => ((number as f64 * scale).round() as usize).max(1),
    });
    while lengths.iter().sum::<usize>() > room {
        match lengths.iter_mut().max() {
            Some(longest) if *longest > 1 => *longest -= 1,
            _ => break,
        }
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bar_is_in_proportion_and_shows_a_single_failure_among_thousands() {
        assert_eq!(lengths([50, 50, 0, 0], 100, 40), [20, 20, 0, 0]);
        assert_eq!(lengths([10_000, 0, 1, 0], 10_001, 40), [39, 0, 1, 0]);
        assert_eq!(lengths([0, 0, 0, 0], 0, 40), [0; 4]);
    }

    proptest! {
        #[test]
        fn no_bar_is_longer_than_its_room_or_hides_a_count(
            numbers in prop::array::uniform4(0u64..1_000_000), more in 0u64..1_000_000, room in SHORTEST..=LONGEST,
        ) {
            let lengths = lengths(numbers, numbers.iter().sum::<u64>() + more, room);
            prop_assert!(lengths.iter().sum::<usize>() <= room);
            prop_assert!(numbers.iter().zip(lengths).all(|(number, length)| (*number > 0) == (length > 0)));
        }
    }
}
