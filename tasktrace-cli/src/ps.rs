//! Runs `tasktrace ps`: lists the processes that can be attached to, or the tasks of one process.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::args;
use crate::document::{self, Group, Process, View};
use crate::failure::Failure;
use crate::fetch;
use crate::find::{self, FoundProcess};
use crate::output::{Output, Paint, TextFormat, title, visible};
use crate::server::Server;
use crate::source::Source;
use crate::table::{Align, Table};
use crate::time::{human, human_ms};

pub(crate) fn run(args: &args::Ps, json: bool, paint: Paint) -> Result<(), Failure> {
    if args.target.process().is_none() && args.target.addr.is_none() {
        return processes(json, paint);
    }
    let source = Source::new(&args.target)?;
    if json {
        let bytes = source.json(args.snapshot)?;
        return Output::Stdout.write_foreign(&bytes, TextFormat::Json);
    }
    let view = source.view(args.snapshot)?;
    if let Source::Memory(memory) = &source {
        memory.tell();
    }
    let table = match args.each {
        true => each(&view),
        false => groups(&view),
    };
    let text = format!("{}\n{}{}", header(&view), table.text(paint), ended(&view));
    Output::Stdout.write(text.as_bytes())
}

/// Returns lines for the tasks that panicked or were dropped, to be printed below the table.
fn ended(view: &View) -> String {
    if view.ended.is_empty() {
        return String::new();
    }
    let lines = view.ended.iter();
    let lines: String = lines.map(|line| format!("  {}\n", visible(line))).collect();
    format!("ended by panic or cancellation:\n{lines}")
}

/// Prints one line for each process.
fn processes(json: bool, paint: Paint) -> Result<(), Failure> {
    let found = find::all();
    let answers = fetch::block_on(ask(&found))?;
    if json {
        let processes: Vec<Value> = answers.iter().map(as_json).collect();
        let list = json!({ "schema": "tasktrace.ps/1", "processes": processes });
        return Output::Stdout.write_foreign(format!("{list}\n").as_bytes(), TextFormat::Json);
    }
    if found.is_empty() {
        let _ = writeln!(
            io::stderr(),
            "no process of this user lets other programs attach: see tasktrace --help; tasktrace ps PID reads the \
             memory of any process"
        );
        return Ok(());
    }
    let mut table = Table::new(&[
        ("PID", Align::Right),
        ("TASKS", Align::Right),
        ("AGE", Align::Right),
        ("NAME", Align::Left),
    ]);
    for (found, answer) in &answers {
        let pid = found.process.to_string();
        let none = || "-".to_owned();
        match answer {
            Ok(it) => {
                let tasks = it.tasks.to_string();
                let age = it.age_ns.map(Duration::from_nanos);
                let age = age.map_or_else(none, human);
                table.row(false, vec![pid, tasks, age, it.name.clone()]);
            }
            Err(failure) => table.row(true, vec![pid, none(), none(), format!("({failure})")]),
        }
    }
    Output::Stdout.write(table.text(paint).as_bytes())
}

type ProcessAnswer = (FoundProcess, Result<Process, Failure>);

/// Asks all processes at the same time, so that those that do not answer together take no longer than one of them.
async fn ask(found: &[FoundProcess]) -> Vec<ProcessAnswer> {
    let mut asked = JoinSet::new();
    for one in found.iter().cloned() {
        asked.spawn(async {
            let server = Server::of(one.process, one.path.clone());
            let answer = fetch::request(&server, "/process.json", server.time_limit).await;
            let process = answer.and_then(|bytes| document::read(&server, &bytes));
            (one, process)
        });
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(found, _)| found.process);
    answers
}

fn as_json((found, answer): &ProcessAnswer) -> Value {
    let socket = found.path.to_string_lossy();
    match answer {
        Ok(it) => json!({
            "pid": found.process,
            "name": it.name,
            "tasks": it.tasks,
            "untraced": it.untraced,
            "age_ns": it.age_ns,
            "socket": socket,
            "error": null,
        }),
        Err(failure) => json!({
            "pid": found.process,
            "name": null,
            "tasks": null,
            "untraced": null,
            "age_ns": null,
            "socket": socket,
            "error": failure.to_string(),
        }),
    }
}

/// Returns the header, such as `shop (4711): 7 tasks, and 1 untraced tokio task`.
pub(crate) fn header(view: &View) -> String {
    let tasks = match view.total {
        1 => "1 task".to_owned(),
        tasks => format!("{tasks} tasks"),
    };
    let untraced = match view.untraced {
        None | Some(0) => String::new(),
        Some(1) => ", and 1 untraced tokio task".to_owned(),
        Some(more) => format!(", and {more} untraced tokio tasks"),
    };
    let cycles = match view.cycles_total {
        0 => String::new(),
        1 => "; 1 cycle of tasks that wait for each other".to_owned(),
        more => format!("; {more} cycles of tasks that wait for each other"),
    };
    let name = visible(&view.process.name);
    let note = match &view.untraced_text {
        None => String::new(),
        Some(text) => format!("\n{}", visible(text)),
    };
    format!(
        "{name} ({}): {tasks}{untraced}{cycles}{note}",
        view.process.pid
    )
}

/// Returns the text of a state, such as `never polled`.
pub(crate) fn state_text(state: &str) -> String {
    visible(state).replace('_', " ")
}

/// Makes titles of tasks. Tasks with the same name that were spawned at several places, such as several async blocks of
/// one function, get the place in their title.
struct Titles<'a> {
    view: &'a View,
    /// The names of the tasks that were spawned at several places.
    shared: BTreeSet<&'a str>,
}

impl<'a> Titles<'a> {
    fn of(view: &'a View) -> Self {
        let mut places: BTreeMap<&str, BTreeSet<Option<usize>>> = BTreeMap::new();
        for group in &view.groups {
            let seen = places.entry(&group.name).or_default();
            seen.extend((0..group.tasks.len).map(|at| group.tasks.place(at)));
        }
        places.retain(|_, places| places.len() > 1);
        Self {
            view,
            shared: places.into_keys().collect(),
        }
    }

    /// Returns the title of one task.
    fn of_task(&self, group: &Group, at: usize) -> String {
        let title = title(&group.name, group.tasks.label(at));
        self.with_place(group, title, group.tasks.place(at))
    }

    /// Returns the title of a group. A group of one task has the title of that task.
    fn of_group(&self, group: &Group) -> String {
        let tasks = &group.tasks;
        if tasks.len == 1 {
            return self.of_task(group, 0);
        }
        let place = tasks.place(0);
        let is_one = (1..tasks.len).all(|at| tasks.place(at) == place);
        let place = place.filter(|_| is_one);
        self.with_place(group, group.name.clone(), place)
    }

    fn with_place(&self, group: &Group, title: String, place: Option<usize>) -> String {
        let place = place.filter(|_| self.shared.contains(&*group.name));
        match place.and_then(|at| self.view.places.get(at)) {
            Some(place) => {
                // The column is left out.
                let line = place.rsplit_once(':').map_or(&**place, |(line, _)| line);
                format!("{title} (spawned at {line})")
            }
            None => title,
        }
    }
}

fn groups(view: &View) -> Table {
    let titles = Titles::of(view);
    let mut table = Table::new(&[
        ("", Align::Left),
        ("TASKS", Align::Right),
        ("STATE", Align::Left),
        ("LONGEST", Align::Right),
        ("TASK", Align::Left),
        ("WAITS FOR", Align::Left),
    ]);
    for group in &view.groups {
        let marked = group.complaint().is_some();
        table.row(
            marked,
            vec![
                if marked { "!" } else { "" }.to_owned(),
                group.tasks.len.to_string(),
                state_text(&group.state),
                group.longest_ms().map_or_else(|| "-".to_owned(), human_ms),
                titles.of_group(group),
                waits_for(group),
            ],
        );
    }
    table
}

fn each(view: &View) -> Table {
    let titles = Titles::of(view);
    let mut table = Table::new(&[
        ("", Align::Left),
        ("ID", Align::Right),
        ("STATE", Align::Left),
        ("FOR", Align::Right),
        ("AGE", Align::Right),
        ("POLLS", Align::Right),
        ("TASK", Align::Left),
        ("WAITS FOR", Align::Left),
    ]);
    for group in &view.groups {
        let marked = group.complaint().is_some();
        let waits_for = waits_for(group);
        let tasks = &group.tasks;
        for at in 0..tasks.len {
            let number = |value: Option<&u64>| value.map_or_else(String::new, u64::to_string);
            let waited = tasks.waited_ms.get(at).copied().flatten();
            table.row(
                marked,
                vec![
                    if marked { "!" } else { "" }.to_owned(),
                    number(tasks.id.get(at)),
                    state_text(&group.state),
                    waited.map_or_else(|| "-".to_owned(), human_ms),
                    tasks
                        .age_ms
                        .get(at)
                        .copied()
                        .map_or_else(String::new, human_ms),
                    number(tasks.polls.get(at)),
                    titles.of_task(group, at),
                    waits_for.clone(),
                ],
            );
        }
    }
    table
}

/// Returns the problem of a group, if any, and the place where it waits.
fn waits_for(group: &Group) -> String {
    let leaf = group.leaf().text();
    match group.complaint().filter(|_| group.urgency != "long") {
        Some(complaint) if leaf.is_empty() => complaint.to_owned(),
        Some(complaint) => format!("{complaint}: {leaf}"),
        None => leaf,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Column;
    use crate::document::tests::example;

    #[test]
    fn groups_are_listed_with_problems_first() {
        let view = example();
        assert_eq!(
            header(&view),
            "shop (4711): 4 tasks, and 1 untraced tokio task"
        );
        assert_eq!(
            groups(&view).text(Paint::none()),
            concat!(
                "   TASKS  STATE      LONGEST  TASK             WAITS FOR\n",
                "!      1  suspended     4.0s  shop::reconnect  registered no waker in this poll: \
                 shop::reconnect (fn at src/db.rs:7)\n",
                "       3  suspended     2.0s  shop::order      tokio::sync::Mutex::lock in \
                 shop::order at src/main.rs:42 and 1 more\n",
            )
        );
    }

    #[test]
    fn a_group_of_one_task_has_its_label_and_tasks_of_one_name_their_places() {
        let mut view = example();
        let mut other = view.groups[0].clone();
        view.groups[0].tasks.label = Column::All(Some("main".to_owned()));
        view.groups[0].tasks.spawned_at = Column::All(Some(0));
        other.tasks.spawned_at = Column::All(Some(1));
        view.groups.push(other);
        let titles = Titles::of(&view);
        let titles: Vec<_> = view
            .groups
            .iter()
            .map(|group| titles.of_group(group))
            .collect();
        assert_eq!(
            titles,
            [
                "shop::reconnect \"main\" (spawned at src/main.rs:5)",
                "shop::order",
                "shop::reconnect (spawned at src/main.rs:6)",
            ]
        );
        let text = each(&view).text(Paint::none());
        assert!(
            text.contains("shop::reconnect (spawned at src/main.rs:6)"),
            "{text}"
        );
    }

    #[test]
    fn each_task_is_listed_in_its_own_row() {
        let text = each(&example()).text(Paint::none());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        let bob =
            "    2  suspended   2.0s  1m00s      2  shop::order \"bob\"  tokio::sync::Mutex::lock";
        assert!(lines[3].contains(bob), "{text}");
    }
}
