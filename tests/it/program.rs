//! The program, run to its end or for a while, as people run it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use tempfile::TempDir;

use crate::proxy_between::PATIENCE;

/// `lagtape` with these words, in the repository.
pub fn command(words: &[&str]) -> Command {
    command_behind(&[], words)
}

/// The same behind the words of another program that starts it, such as a shell that limits it first. In
/// the repository, without what is set here, and with nothing on stdin.
pub fn command_behind(before: &[&str], words: &[&str]) -> Command {
    let line = [before, &[env!("CARGO_BIN_EXE_lagtape")], words].concat();
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    command.env_remove("LAGTAPE_THREADS").env_remove("LAGTAPE_COLOR");
    command
}

/// What `lagtape` does with these words.
pub fn lagtape(words: &[&str]) -> Output {
    command(words).output().unwrap()
}

/// The program while it runs; killed when it is dropped. What it prints is read as it comes.
pub struct Running {
    child: Child,
    /// Lines of stdout.
    out: Receiver<String>,
    /// Lines of stderr.
    said: Receiver<String>,
}

/// How it ended, and what it printed that nobody had read yet.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub said: String,
}

impl Running {
    pub fn start(words: &[&str]) -> Running {
        Running::of(&mut command(words))
    }

    /// With this many file descriptors at most.
    pub fn start_within(words: &[&str], descriptors: u32) -> Running {
        let script = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
        Running::of(&mut command_behind(&["sh", "-c", &script], words))
    }

    pub fn of(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = lines(child.stderr.take().unwrap());
        let out = lines(child.stdout.take().unwrap());
        Running { child, out, said }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The next line of stdout.
    #[track_caller]
    pub fn line(&self) -> String {
        let line = self.out.recv_timeout(PATIENCE);
        line.unwrap_or_else(|error| {
            panic!("no line came ({error}): {:#?}", self.said.try_iter().collect::<Vec<_>>())
        })
    }

    /// The next line of stderr.
    #[track_caller]
    pub fn complaint(&self) -> String {
        self.said.recv_timeout(PATIENCE).unwrap()
    }

    /// Waits for a line of stderr that holds this.
    #[track_caller]
    pub fn says(&self, part: &str) -> String {
        let mut others = Vec::new();
        loop {
            match self.said.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => others.push(line),
                Err(error) => panic!("{part:?} was not said ({error}): {others:#?}"),
            }
        }
    }

    #[cfg(unix)]
    #[track_caller]
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Stops it as a service manager does.
    #[cfg(unix)]
    #[track_caller]
    pub fn terminate(self) -> Ended {
        self.signal("-TERM");
        self.wait()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> Ended {
        let mut out = String::new();
        loop {
            match self.out.recv_timeout(PATIENCE) {
                Ok(line) => out.extend([line.as_str(), "\n"]),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end; it printed {out}"),
            }
        }
        let code = self.child.wait().unwrap().code();
        let said = self.said.iter().map(|line| line + "\n").collect();
        Ended { code, out, said }
    }

    /// Kills it.
    pub fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            // Nobody listens any more once the test is over.
            let _ = tell.send(line.unwrap());
        }
    });
    told
}

/// It ends with this exit code; what it printed on stdout and on stderr.
#[track_caller]
pub fn check(words: &[&str], code: i32) -> (String, String) {
    let output = lagtape(words);
    let out = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{words:?}\n{out}\n{err}");
    (out, err)
}

/// It ends with this exit code and says this.
#[track_caller]
pub fn check_complaint(words: &[&str], code: i32, sentence: &str) {
    let (_, err) = check(words, code);
    // What is said of a command line is wrapped.
    let unbroken = err.replace('\n', " ");
    assert!(unbroken.contains(sentence), "{words:?} said: {err}");
}

/// A simulated session with these words besides, in a file of that name.
pub fn simulated(folder: &TempDir, name: &str, words: &[&str]) -> String {
    let path = folder.path().join(format!("{name}.lagtape")).to_str().unwrap().to_owned();
    let output = lagtape(&[&["simulate", "-o", &path], words].concat());
    assert!(matches!(output.status.code(), Some(0 | 4 | 5)), "{output:?}");
    path
}

/// One that is long enough for the model.
pub fn long(folder: &TempDir, incident: &str) -> String {
    let name = incident.split(':').next().unwrap();
    simulated(folder, name, &["--incident", incident, "--for", "12s", "--loop", "16s"])
}

/// One that is too short for it.
pub fn short(folder: &TempDir) -> String {
    simulated(folder, "short", &["--for", "600ms", "--loop", "16s"])
}
