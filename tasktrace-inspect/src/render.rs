//! Reports as text.

use std::fmt::{self, Display, Formatter, Write};

use crate::count::count;
use crate::report::{Frame, HeldKind, Holder, Report, SourceKind, Task, TaskState, Wait};

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        for deadlock in &self.deadlocks {
            writeln!(f, "\nlikely deadlock: {}", deadlock.text)?;
        }
        for task in &self.tasks {
            writeln!(f)?;
            task.fmt(f)?;
        }
        self.notes(f)
    }
}

impl Report {
    fn head(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let source = &self.source;
        match source.pid {
            Some(pid) => write!(f, "process {pid} ({})", source.executable)?,
            None => write!(f, "core file of {}", source.executable)?,
        }
        let how = match source.kind {
            SourceKind::Running | SourceKind::Own => " while it ran",
            SourceKind::Frozen => " while it was stopped",
            SourceKind::Core => "",
        };
        writeln!(f, ": read from memory in {:.0} ms{how}", source.read_ms)?;
        f.write_str(&count(self.tasks.len() as u64, "task"))?;
        if self.runtimes > 0 {
            write!(f, " of {}", count(self.runtimes as u64, "runtime"))?;
        }
        writeln!(f, ", {} not decoded", self.tasks.len() - self.decoded())
    }

    /// Writes what is missing, and what a holder is, below the tasks.
    fn notes(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let names_holder = self.tasks.iter().any(|task| names_holder(&task.frames));
        if names_holder || !self.missing.is_empty() {
            writeln!(f)?;
        }
        for missing in &self.missing {
            writeln!(f, "missing {}: {}", missing.count, missing.reason)?;
        }
        if names_holder {
            writeln!(
                f,
                "note: a holder is a task with a guard in memory; a guard that was dropped before its task waited can \
                 look like one"
            )?;
        }
        Ok(())
    }
}

/// Returns `true` if one of these frames, or a frame below, waits for something that a task holds.
fn names_holder(frames: &[Frame]) -> bool {
    let mut pending: Vec<&Frame> = frames.iter().collect();
    while let Some(frame) = pending.pop() {
        if frame
            .wait
            .as_ref()
            .is_some_and(|wait| !wait.holders.is_empty())
        {
            return true;
        }
        pending.extend(&frame.children);
    }
    false
}

impl Display for Task {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)?;
        let state = match self.state {
            TaskState::Suspended => "suspended",
            TaskState::Notified => "woken, not polled yet",
            TaskState::Running => "running",
            TaskState::Finished => "finished",
            TaskState::Blocking => "blocking",
            TaskState::BlockOn => "in block_on",
        };
        writeln!(f, ", {state}")?;
        if let Some(problem) = &self.problem {
            writeln!(f, "  ({problem})")?;
        }
        for frame in &self.frames {
            write!(f, "  ╼ ")?;
            line(f, frame)?;
            children(f, frame, "   ")?;
        }
        Ok(())
    }
}

fn children(f: &mut Formatter<'_>, frame: &Frame, prefix: &str) -> fmt::Result {
    let mut left = frame.children.len();
    for child in &frame.children {
        left -= 1;
        let (branch, below) = match left {
            0 => ("└╼ ", "   "),
            _ => ("├╼ ", "│  "),
        };
        write!(f, "{prefix}{branch}")?;
        line(f, child)?;
        children(f, child, &format!("{prefix}{below}"))?;
    }
    Ok(())
}

fn line(f: &mut Formatter<'_>, frame: &Frame) -> fmt::Result {
    f.write_str(&frame.name)?;
    if let Some(file) = &frame.file {
        write!(f, " at {file}:{}", frame.line.unwrap_or_default())?;
    }
    if let Some(note) = &frame.note {
        write!(f, " [{note}]")?;
    }
    if let Some(wait) = &frame.wait {
        write!(f, " ({})", words(wait))?;
    }
    f.write_char('\n')
}

fn words(wait: &Wait) -> String {
    let mut text = wait.text.clone();
    if wait.holders.len() > 1 && wait.holders.iter().all(|it| it.held.kind.is_exclusive()) {
        text.push_str("; one of these is the holder");
    }
    for (number, holder) in wait.holders.iter().enumerate() {
        match number {
            0..3 => {
                let _ = write!(text, "; {}", holder_words(holder));
            }
            _ => {
                let _ = write!(text, "; and {} more", wait.holders.len() - number);
                break;
            }
        }
    }
    text
}

impl Display for Holder {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&holder_words(self))
    }
}

fn holder_words(holder: &Holder) -> String {
    let held = &holder.held;
    let place = match &held.file {
        Some(file) => format!(" at {file}:{}", held.line.unwrap_or_default()),
        None => String::new(),
    };
    let task = &holder.noun;
    let what = match held.kind {
        HeldKind::Mutex | HeldKind::Write => "held by",
        HeldKind::Read => "held for reading by",
        HeldKind::Permit => "permits held by",
        HeldKind::Granted => "granted to",
    };
    let function = &held.function;
    if !held.is_polled {
        return format!("{what} {function}{place}, which {task} does not poll any more");
    }
    let mut text = format!("{what} {task} in {function}{place}");
    if let Some(waits_for) = &holder.waits_for {
        let _ = write!(text, ", which waits for {waits_for}");
    }
    text
}
