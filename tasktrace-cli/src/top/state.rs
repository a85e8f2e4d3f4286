//! Holds the state of the screen: the tasks, and the user's selection.
//!
//! There may be 100,000 tasks, so the received document is not changed, and only the rows on the screen are formatted.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use crate::args::Sort;
use crate::document::{Group, View};
use crate::output::visible;

/// The list that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Groups,
    /// All tasks.
    Tasks,
    /// The tasks of the group with this id.
    Members(String),
}

/// A row of the list: a group or one of its tasks, by their positions in the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) group: usize,
    pub(crate) member: Option<usize>,
}

/// The identity of a row in later documents.
#[derive(Clone, Debug, PartialEq, Eq)]
enum RowKey {
    Group(String),
    Task(u64),
}

/// A task that is open.
#[derive(Clone, Debug)]
pub(crate) struct OpenTask {
    pub(crate) task: u64,
    /// The lines of the task, as the process formats them. `None` until they arrive.
    pub(crate) lines: Option<Vec<String>>,
    /// `true` if the first line is a failure to get the text, and the others are the last text.
    has_failed: bool,
    /// The number of lines above the screen.
    pub(crate) scroll: usize,
}

#[derive(Debug)]
pub(crate) struct TopState {
    pub(crate) view: Option<View>,
    /// The time at which `view` was received.
    pub(crate) received: Instant,
    pub(crate) list: List,
    pub(crate) rows: Vec<Row>,
    pub(crate) selected: usize,
    key: Option<RowKey>,
    pub(crate) open: Option<OpenTask>,
    pub(crate) sort: Sort,
    pub(crate) filter: String,
    /// `true` while the user edits the filter.
    pub(crate) is_filtering: bool,
    pub(crate) is_paused: bool,
    pub(crate) is_helping: bool,
    pub(crate) snapshot: bool,
    pub(crate) interval: Duration,
    /// The reason why there is no newer document.
    pub(crate) failure: Option<String>,
}

impl TopState {
    pub(crate) fn new(sort: Sort, filter: String, snapshot: bool, interval: Duration) -> Self {
        Self {
            view: None,
            received: Instant::now(),
            list: List::Groups,
            rows: Vec::new(),
            selected: 0,
            key: None,
            open: None,
            sort,
            filter,
            is_filtering: false,
            is_paused: false,
            is_helping: false,
            snapshot,
            interval,
            failure: None,
        }
    }

    /// Stores a received document, or the failure to get it.
    pub(crate) fn receive(&mut self, view: Result<View, String>, now: Instant) {
        match view {
            Ok(view) if !self.is_paused => {
                self.view = Some(view);
                self.received = now;
                self.failure = None;
                self.refresh();
            }
            // The document was requested before the pause.
            Ok(_) => {}
            Err(failure) => self.failure = Some(visible(&failure)),
        }
    }

    /// Stores the text of the open task, or the failure to get it.
    pub(crate) fn receive_task(&mut self, task: u64, text: Result<String, String>) {
        let is_paused = self.is_paused;
        if let Some(open) = self.open.as_mut().filter(|open| open.task == task)
            && !(is_paused && open.lines.is_some())
        {
            let had_failed = std::mem::replace(&mut open.has_failed, text.is_err());
            match text {
                Ok(text) => open.lines = Some(text.lines().map(visible).collect()),
                // The last text is kept below the failure.
                Err(failure) => {
                    let last_failure = 0..usize::from(had_failed);
                    let lines = open.lines.get_or_insert_default();
                    lines.splice(last_failure, [visible(&failure)]);
                }
            }
        }
    }

    /// Computes the rows again, and keeps the selected row, wherever it is now.
    pub(crate) fn refresh(&mut self) {
        let Some(view) = &self.view else {
            return;
        };
        let mut rows = Vec::new();
        let filter = self.filter.to_lowercase();
        for (at, group) in view.groups.iter().enumerate() {
            let is_meant = match &self.list {
                List::Groups => {
                    if matches_group(group, &filter) {
                        rows.push(Row {
                            group: at,
                            member: None,
                        });
                    }
                    false
                }
                List::Tasks => true,
                List::Members(id) => *id == group.id,
            };
            if is_meant {
                let all = matches_shape(group, &filter);
                let members =
                    (0..group.tasks.len).filter(|it| all || matches_label(group, *it, &filter));
                rows.extend(members.map(|member| Row {
                    group: at,
                    member: Some(member),
                }));
            }
        }
        sort(&mut rows, &view.groups, self.sort);
        self.rows = rows;
        let kept = self.key.as_ref().and_then(|key| {
            let mut rows = self.rows.iter();
            rows.position(|row| self.key_of(*row).as_ref() == Some(key))
        });
        self.select(kept.unwrap_or(self.selected));
    }

    pub(crate) fn group(&self, row: Row) -> Option<&Group> {
        self.view.as_ref()?.groups.get(row.group)
    }

    fn key_of(&self, row: Row) -> Option<RowKey> {
        let group = self.group(row)?;
        match row.member {
            None => Some(RowKey::Group(group.id.clone())),
            Some(at) => group.tasks.id.get(at).copied().map(RowKey::Task),
        }
    }

    pub(crate) fn select(&mut self, row: usize) {
        self.selected = row.min(self.rows.len().saturating_sub(1));
        let selected = self.rows.get(self.selected).copied();
        self.key = selected.and_then(|row| self.key_of(row));
    }

    /// Shows another list from its beginning.
    pub(crate) fn show(&mut self, list: List) {
        self.list = list;
        self.key = None;
        self.selected = 0;
        self.refresh();
    }

    /// Opens the selected row: a group of several tasks as a list, and otherwise the task.
    pub(crate) fn open_selected(&mut self) {
        let Some(row) = self.rows.get(self.selected).copied() else {
            return;
        };
        let Some(group) = self.group(row) else {
            return;
        };
        match row.member {
            None if group.tasks.len != 1 => {
                let id = group.id.clone();
                self.show(List::Members(id));
            }
            member => {
                let task = group.tasks.id.get(member.unwrap_or(0)).copied();
                self.open = task.map(|task| OpenTask {
                    task,
                    lines: None,
                    has_failed: false,
                    scroll: 0,
                });
            }
        }
    }

    /// Goes back by one step. Returns `false` if there was none.
    pub(crate) fn back(&mut self) -> bool {
        if self.open.take().is_some() {
            return true;
        }
        if let List::Members(id) = &self.list {
            let key = RowKey::Group(id.clone());
            self.list = List::Groups;
            self.key = Some(key);
            self.refresh();
            return true;
        }
        if !self.filter.is_empty() {
            self.filter.clear();
            self.refresh();
            return true;
        }
        false
    }

    pub(crate) fn sort_by_next(&mut self) {
        self.sort = match self.sort {
            Sort::Urgency => Sort::Waited,
            Sort::Waited => Sort::Tasks,
            Sort::Tasks => Sort::Name,
            Sort::Name => Sort::State,
            Sort::State => Sort::Urgency,
        };
        self.refresh();
    }
}

/// Sorts the rows. The document has the most urgent groups first, and equal rows keep that order.
fn sort(rows: &mut [Row], groups: &[Group], by: Sort) {
    let waited = |row: &Row| {
        let group = &groups[row.group];
        match row.member {
            Some(at) => group.tasks.waited_ms.get(at).copied().flatten(),
            None => group.longest_ms(),
        }
    };
    match by {
        // Within a group, the task that has waited for longest comes first.
        Sort::Urgency => {
            rows.sort_by_key(|row| (row.group, row.member.map(|_| Reverse(waited(row)))))
        }
        Sort::Waited => rows.sort_by_cached_key(|row| Reverse(waited(row))),
        Sort::Tasks => rows.sort_by_key(|row| Reverse(groups[row.group].tasks.len)),
        Sort::Name => rows.sort_by(|a, b| groups[a.group].name.cmp(&groups[b.group].name)),
        Sort::State => rows.sort_by(|a, b| groups[a.group].state.cmp(&groups[b.group].state)),
    }
}

fn matches_group(group: &Group, filter: &str) -> bool {
    matches_shape(group, filter) || (0..group.tasks.len).any(|at| matches_label(group, at, filter))
}

fn matches_shape(group: &Group, filter: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(filter);
    filter.is_empty()
        || has(&group.name)
        || has(&group.state)
        || group.complaint().is_some_and(has)
        || has(&group.leaf().text())
}

fn matches_label(group: &Group, at: usize, filter: &str) -> bool {
    let label = group.tasks.label.get(at).and_then(Option::as_deref);
    label.is_some_and(|label| label.to_lowercase().contains(filter))
        || group
            .tasks
            .id
            .get(at)
            .is_some_and(|id| id.to_string() == filter)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::document::tests::example;

    pub(crate) fn state() -> TopState {
        let mut state = TopState::new(Sort::Urgency, String::new(), false, Duration::from_secs(1));
        state.receive(Ok(example()), Instant::now());
        state
    }

    fn names(state: &TopState) -> Vec<&str> {
        let groups = state.rows.iter().filter_map(|row| state.group(*row));
        groups.map(|group| group.name.as_str()).collect()
    }

    fn tasks(state: &TopState) -> Vec<u64> {
        let task = |row: &Row| state.group(*row)?.tasks.id.get(row.member?).copied();
        state.rows.iter().filter_map(task).collect()
    }

    #[test]
    fn rows_are_sorted_in_each_order() {
        let mut state = state();
        assert_eq!(names(&state), ["shop::reconnect", "shop::order"]);
        state.sort = Sort::Tasks;
        state.refresh();
        assert_eq!(names(&state), ["shop::order", "shop::reconnect"]);
        state.sort = Sort::Name;
        state.refresh();
        assert_eq!(names(&state), ["shop::order", "shop::reconnect"]);
        state.sort = Sort::Waited;
        state.show(List::Tasks);
        assert_eq!(tasks(&state), [9, 2, 1, 3]);
        for expected in [Sort::Tasks, Sort::Name, Sort::State, Sort::Urgency] {
            state.sort_by_next();
            assert_eq!(state.sort, expected);
        }
        assert_eq!(tasks(&state), [9, 2, 1, 3]);
    }

    #[test]
    fn the_filter_matches_names_labels_states_and_places() {
        let mut state = state();
        let mut filtered = |filter: &str| {
            state.filter = filter.to_owned();
            state.show(List::Groups);
            let groups = names(&state).len();
            state.show(List::Tasks);
            (groups, tasks(&state))
        };
        assert_eq!(filtered("BOB"), (1, vec![2]));
        assert_eq!(filtered("mutex"), (1, vec![2, 1, 3]));
        assert_eq!(filtered("waker"), (1, vec![9]));
        assert_eq!(filtered("suspended").0, 2);
        assert_eq!(filtered("9"), (1, vec![9]));
        assert_eq!(filtered("nothing"), (0, vec![]));
    }

    #[test]
    fn the_selected_row_is_kept_in_a_new_document() {
        let mut state = state();
        state.select(1);
        let mut view = example();
        view.groups.reverse();
        state.receive(Ok(view.clone()), Instant::now());
        assert_eq!(state.selected, 0);
        assert_eq!(names(&state)[0], "shop::order");
        // The selected group has ended, so another row is selected.
        view.groups.remove(0);
        state.receive(Ok(view), Instant::now());
        assert_eq!(names(&state)[state.selected], "shop::reconnect");
        state.receive(Ok(View::default()), Instant::now());
        assert_eq!(state.selected, 0);
        state.open_selected();
        assert!(state.open.is_none());
    }

    #[test]
    fn back_undoes_each_step() {
        let mut state = state();
        state.select(1);
        state.open_selected();
        assert_eq!(state.list, List::Members("a".to_owned()));
        assert_eq!(tasks(&state), [2, 1, 3]);
        state.open_selected();
        assert_eq!(state.open.as_ref().map(|open| open.task), Some(2));
        assert!(state.back());
        assert!(state.back());
        assert_eq!((&state.list, state.selected), (&List::Groups, 1));
        state.select(0);
        state.open_selected();
        assert_eq!(state.open.as_ref().map(|open| open.task), Some(9));
        assert!(state.back());
        assert!(!state.back());
    }

    #[test]
    fn documents_are_ignored_during_a_pause() {
        let mut state = state();
        state.is_paused = true;
        state.receive(Ok(View::default()), Instant::now());
        assert_eq!(state.rows.len(), 2);
    }

    #[test]
    fn a_failure_is_shown_above_the_last_text_of_a_task() {
        let mut state = state();
        state.open_selected();
        state.receive_task(8, Ok("another".to_owned()));
        let lines = |state: &TopState| state.open.as_ref().and_then(|open| open.lines.clone());
        assert_eq!(lines(&state), None);
        state.receive_task(9, Ok("task 9\n  ╼ a".to_owned()));
        state.receive_task(9, Err("it is gone".to_owned()));
        state.receive_task(9, Err("it is gone".to_owned()));
        let expected = ["it is gone", "task 9", "  ╼ a"].map(str::to_owned);
        assert_eq!(lines(&state), Some(expected.to_vec()));
        state.receive_task(9, Err("no answer".to_owned()));
        state.receive_task(9, Err("it is gone".to_owned()));
        assert_eq!(lines(&state), Some(expected.to_vec()));
        state.receive_task(9, Ok("task 9".to_owned()));
        assert_eq!(lines(&state), Some(vec!["task 9".to_owned()]));
    }
}
