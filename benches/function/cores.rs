//! Which core runs what.
//!
//! Left alone, the scheduler puts a server and the program that waits for it on one core or on two, as it likes, and an exchange
//! takes 10 µs or 50. Lambda's Runtime API and FlexOrch are never on the function's core.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The core of the servers' thread.
pub const SERVERS: usize = 0;
/// The core of the programs, which they inherit from the thread that starts them.
pub const PROGRAMS: usize = 1;

/// Keeps this thread, and what it starts from now on, on one of the cores that this process may use; if there is only one, on
/// that.
pub fn keep_to(position: usize) {
    let allowed = sched_getaffinity(None).unwrap();
    let cores: Vec<_> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
    let mut one = CpuSet::new();
    one.set(cores[position % cores.len()]);
    sched_setaffinity(None, &one).unwrap();
}
