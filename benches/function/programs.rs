//! What is measured: the function, the empty function, and a Python function if one is installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that Lambda could start.
pub struct Program {
    /// As tables name it.
    pub name: &'static str,
    path: PathBuf,
    arguments: Vec<String>,
    python_path: Option<PathBuf>,
}

/// The programs, ready to be started.
pub struct Programs {
    pub empty: Program,
    pub function: Program,
    pub beside: Option<Program>,
    pub python: Option<Program>,
}

impl Program {
    /// Copies a program to where all others are: how a file came to be on the disk shows in its cold start, by a tenth.
    fn rust(name: &'static str, path: &Path) -> Self {
        let file: String = name.chars().filter(char::is_ascii_alphabetic).collect();
        let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
        // Not over an earlier copy, which may still be in memory.
        let _ = std::fs::remove_file(&copy);
        std::fs::copy(path, &copy).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { name, path: copy, arguments: Vec::new(), python_path: None }
    }

    /// The program and its arguments.
    pub fn command_line(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.path.to_str().unwrap()).chain(self.arguments.iter().map(String::as_str))
    }

    /// Where Python finds the handler.
    pub fn python_path(&self) -> Option<&Path> {
        self.python_path.as_deref()
    }

    /// Bytes of the binary; `None` for an interpreter's program.
    pub fn bytes(&self) -> Option<u64> {
        self.python_path.is_none().then(|| std::fs::metadata(&self.path).unwrap().len())
    }
}

impl Programs {
    /// Builds the function as it is deployed, and the empty function with it; `beside` is
    /// another build of the function.
    pub fn build(beside: Option<PathBuf>) -> Self {
        // `cargo bench` builds the function too, but with the features that the tests want of its crates.
        let mut cargo = Command::new(env!("CARGO"));
        // What cargo passes to this program about its package would look like a changed setting to the crates that are built with
        // it.
        for (name, _) in std::env::vars_os() {
            let of_package =
                ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|kind| name.to_string_lossy().starts_with(kind));
            if of_package {
                cargo.env_remove(name);
            }
        }
        let built = cargo
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["build", "--release", "--features", "empty-function", "--message-format", "json-render-diagnostics"])
            .args(["--bin", "flexorch-s3-ingester", "--bin", "empty-function"])
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(built.status.success(), "the function cannot be built");
        let messages = String::from_utf8(built.stdout).unwrap();
        let executable = |name: &str| {
            let mut messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            let artifact =
                messages.find(|message| message["target"]["name"] == name && message["executable"].is_string());
            PathBuf::from(artifact.expect(name)["executable"].as_str().unwrap())
        };
        Self {
            empty: Program::rust("empty function", &executable("empty-function")),
            function: Program::rust("**this function**", &executable("flexorch-s3-ingester")),
            beside: beside.map(|path| Program::rust("other build", &path)),
            python: python(),
        }
    }

    /// The programs as they are built for the tests, without a separate build: good enough to see that the benchmark works.
    pub fn of_the_tests(beside: Option<PathBuf>) -> Self {
        let Some(empty) = option_env!("CARGO_BIN_EXE_empty-function") else {
            panic!("--smoke goes with cargo's --features empty-function");
        };
        Self {
            empty: Program::rust("empty function", Path::new(empty)),
            function: Program::rust("**this function**", Path::new(env!("CARGO_BIN_EXE_flexorch-s3-ingester"))),
            beside: beside.map(|path| Program::rust("other build", &path)),
            python: python(),
        }
    }

    /// All of them, the floor first.
    pub fn all(&self) -> Vec<&Program> {
        [&self.empty, &self.function].into_iter().chain(&self.beside).chain(&self.python).collect()
    }
}

/// The same job in Python, if `benches/python/setup` has been run.
fn python() -> Option<Program> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("target/bench-python/bin/python");
    path.exists().then(|| Program {
        name: "Python, boto3, urllib3",
        path,
        arguments: ["-m", "awslambdaric", "handler.handler"].map(str::to_owned).to_vec(),
        python_path: Some(root.join("benches/python")),
    })
}
