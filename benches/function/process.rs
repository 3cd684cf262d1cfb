//! A started program, and what the kernel says of it.

use std::fs;
use std::io::{self, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::programs::Program;
use crate::quota::Quota;

/// A running program; ended when dropped.
pub struct Process {
    child: Child,
    /// When it was started.
    pub started: Instant,
    cpu_before: Duration,
}

impl Process {
    /// Starts a program with this environment and no other.
    pub fn start(program: &Program, environment: &[(String, String)]) -> Self {
        let mut line = program.command_line();
        let mut command = Command::new(line.next().unwrap());
        command.args(line);
        prepare(&mut command, program, environment);
        let started = Instant::now();
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        Self { child, started, cpu_before: Duration::ZERO }
    }

    /// Starts a program inside a quota. A shell joins the quota and then becomes the program: the time counts from then on.
    pub fn start_within(quota: &Quota, program: &Program, environment: &[(String, String)]) -> Self {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo $$ > \"$0\" && read -r go && exec \"$@\""]).arg(quota.members());
        command.args(program.command_line());
        prepare(&mut command, program, environment);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        while !quota.holds(child.id()) {
            assert!(child.try_wait().unwrap().is_none(), "the shell could not step into the quota");
            std::thread::sleep(Duration::from_millis(1));
        }
        let cpu_before = cpu(child.id());
        let started = Instant::now();
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        Self { child, started, cpu_before }
    }

    /// The processor time of all its threads so far, user and system.
    pub fn cpu(&self) -> Duration {
        cpu(self.child.id()).saturating_sub(self.cpu_before)
    }

    /// The largest resident set so far, in KiB.
    pub fn peak_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

fn prepare(command: &mut Command, program: &Program, environment: &[(String, String)]) {
    command.env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
    if let Some(path) = program.python_path() {
        command.env("PYTHONPATH", path).env("PYTHONDONTWRITEBYTECODE", "1");
    }
    // Lambda reads what a function prints; here nobody does, so that no reader takes a core from what is measured.
    let output = || if std::env::var_os("BENCH_SHOWS_OUTPUT").is_some() { io::stderr().into() } else { Stdio::null() };
    command.stdout(output()).stderr(output());
}

/// Nanoseconds on a processor, thread by thread: the clock ticks of `/proc/<pid>/stat` are ten times a cold start.
fn cpu(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanos = threads.filter_map(|thread| {
        let stat = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}
