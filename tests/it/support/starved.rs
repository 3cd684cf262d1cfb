//! A function with a small part of a core.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How often the part is given anew, as Lambda does it where memory is small.
const PERIOD: Duration = Duration::from_millis(20);

/// A process that runs for a part of every period and is stopped for the rest, until this is dropped.
pub struct Starved {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Starved {
    /// Gives a process this share of a core.
    pub fn new(pid: u32, share: f64) -> Self {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                let _ = kill_process(pid, Signal::STOP);
                std::thread::sleep(PERIOD.mul_f64(1.0 - share));
                let _ = kill_process(pid, Signal::CONT);
                std::thread::sleep(PERIOD.mul_f64(share));
            }
        });
        Self { ended, thread: Some(thread) }
    }
}

impl Drop for Starved {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}
