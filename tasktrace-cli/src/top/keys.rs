//! Handles keys.

use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::state::{List, TopState};

/// The action that the caller must take after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Nothing,
    /// Fetch now, because the key has selected other data.
    Ask,
    Quit,
}

/// The keys and their effects, for the help.
pub(crate) const HELP: [(&str, &str); 14] = [
    ("↑ ↓ k j", "move"),
    ("PgUp PgDn", "move by a page"),
    ("Home End g G", "go to the first or the last row"),
    ("Enter →", "open the group or the task"),
    ("Esc ← Backspace", "back"),
    ("Tab", "show groups or single tasks"),
    ("s", "change the order: urgency, waited, tasks, name, state"),
    ("/", "filter by name, label, state or place"),
    ("p Space", "pause"),
    ("c", "switch between captures and snapshots"),
    ("+ -", "dump more or less often"),
    ("r", "dump now"),
    ("? h", "show this help"),
    ("q Ctrl-C", "quit"),
];

/// The intervals in milliseconds that the keys select.
const INTERVALS: [u64; 8] = [100, 250, 500, 1_000, 2_000, 5_000, 10_000, 60_000];

/// Handles a key. `page` is the number of rows on the screen.
pub(crate) fn press(state: &mut TopState, key: KeyEvent, page: usize) -> Action {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c' | 'd') => Action::Quit,
            _ => Action::Nothing,
        };
    }
    if state.is_filtering {
        return write_filter(state, key.code);
    }
    if state.is_helping {
        state.is_helping = false;
        return Action::Nothing;
    }
    match key.code {
        KeyCode::Char('q') => return Action::Quit,
        KeyCode::Char('?' | 'h') | KeyCode::F(1) => state.is_helping = true,
        KeyCode::Char('p' | ' ') => {
            state.is_paused = !state.is_paused;
            if !state.is_paused {
                return Action::Ask;
            }
        }
        KeyCode::Char('r') => return Action::Ask,
        KeyCode::Char('c') => {
            state.snapshot = !state.snapshot;
            return Action::Ask;
        }
        KeyCode::Char('+') => state.interval = next(state.interval, true),
        KeyCode::Char('-') => state.interval = next(state.interval, false),
        KeyCode::Esc | KeyCode::Left | KeyCode::Backspace => {
            state.back();
        }
        code => return in_list_or_task(state, code, page),
    }
    Action::Nothing
}

fn in_list_or_task(state: &mut TopState, code: KeyCode, page: usize) -> Action {
    if let Some(open) = &mut state.open {
        let last = open
            .lines
            .as_ref()
            .map_or(0, |lines| lines.len().saturating_sub(1));
        open.scroll = moved(open.scroll, code, page)
            .unwrap_or(open.scroll)
            .min(last);
        return Action::Nothing;
    }
    if let Some(to) = moved(state.selected, code, page) {
        state.select(to);
        return Action::Nothing;
    }
    match code {
        KeyCode::Enter | KeyCode::Right => {
            state.open_selected();
            return match state.open {
                Some(_) => Action::Ask,
                None => Action::Nothing,
            };
        }
        KeyCode::Tab => state.show(match state.list {
            List::Groups => List::Tasks,
            List::Tasks | List::Members(_) => List::Groups,
        }),
        KeyCode::Char('s') => state.sort_by_next(),
        KeyCode::Char('/') => state.is_filtering = true,
        _ => {}
    }
    Action::Nothing
}

/// Returns the new position after a key, if the key moves.
fn moved(from: usize, code: KeyCode, page: usize) -> Option<usize> {
    match code {
        KeyCode::Up | KeyCode::Char('k') => Some(from.saturating_sub(1)),
        KeyCode::Down | KeyCode::Char('j') => Some(from.saturating_add(1)),
        KeyCode::PageUp => Some(from.saturating_sub(page)),
        KeyCode::PageDown => Some(from.saturating_add(page)),
        KeyCode::Home | KeyCode::Char('g') => Some(0),
        KeyCode::End | KeyCode::Char('G') => Some(usize::MAX),
        _ => None,
    }
}

fn write_filter(state: &mut TopState, code: KeyCode) -> Action {
    match code {
        KeyCode::Enter => state.is_filtering = false,
        KeyCode::Esc => {
            state.is_filtering = false;
            state.filter.clear();
        }
        KeyCode::Backspace => {
            state.filter.pop();
        }
        KeyCode::Char(char) => state.filter.push(char),
        _ => return Action::Nothing,
    }
    state.refresh();
    Action::Nothing
}

/// Returns the next shorter or longer interval.
fn next(interval: Duration, shorter: bool) -> Duration {
    let mut choices = INTERVALS.map(Duration::from_millis).into_iter();
    match shorter {
        true => choices.rfind(|it| *it < interval),
        false => choices.find(|it| *it > interval),
    }
    .unwrap_or(interval)
}

#[cfg(test)]
mod tests {
    use super::super::state::tests::state;
    use super::*;

    fn press_all(state: &mut TopState, keys: &str) -> Vec<Action> {
        let code = |key| match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\u{1b}' => KeyCode::Esc,
            '\u{8}' => KeyCode::Backspace,
            key => KeyCode::Char(key),
        };
        keys.chars()
            .map(|key| press(state, code(key).into(), 10))
            .collect()
    }

    #[test]
    fn keys_move_the_selection() {
        let mut state = state();
        press_all(&mut state, "jjj");
        assert_eq!(state.selected, 1);
        press_all(&mut state, "k");
        assert_eq!(state.selected, 0);
        press_all(&mut state, "kG");
        assert_eq!(state.selected, 1);
        press(&mut state, KeyCode::PageUp.into(), 10);
        assert_eq!(state.selected, 0);
    }

    #[test]
    fn enter_opens_and_escape_goes_back() {
        let mut state = state();
        assert_eq!(
            press_all(&mut state, "j\n\n"),
            [Action::Nothing, Action::Nothing, Action::Ask]
        );
        assert_eq!(state.open.as_ref().map(|open| open.task), Some(2));
        state.receive_task(2, Ok("a\nb\nc".to_owned()));
        press_all(&mut state, "jG");
        assert_eq!(state.open.as_ref().map(|open| open.scroll), Some(2));
        press_all(&mut state, "\u{1b}\u{1b}");
        assert_eq!((state.open.is_none(), &state.list), (true, &List::Groups));
        press_all(&mut state, "\t");
        assert_eq!(state.list, List::Tasks);
    }

    #[test]
    fn keys_edit_the_filter() {
        let mut state = state();
        // `q` and `?` are letters of the filter.
        assert_eq!(
            press_all(&mut state, "/q?\u{8}\u{8}bob"),
            [Action::Nothing; 8]
        );
        assert_eq!((&*state.filter, state.rows.len()), ("bob", 1));
        press_all(&mut state, "\ns");
        assert_eq!((&*state.filter, state.is_filtering), ("bob", false));
        press_all(&mut state, "\u{1b}");
        assert_eq!((&*state.filter, state.rows.len()), ("", 2));
    }

    #[test]
    fn keys_pause_change_the_interval_and_quit() {
        let mut state = state();
        assert_eq!(press_all(&mut state, "pp"), [Action::Nothing, Action::Ask]);
        assert_eq!(press_all(&mut state, "c"), [Action::Ask]);
        assert!(state.snapshot);
        press_all(&mut state, "+");
        assert_eq!(state.interval, Duration::from_millis(500));
        press_all(&mut state, "--------------");
        assert_eq!(state.interval, Duration::from_secs(60));
        press_all(&mut state, "?");
        assert!(state.is_helping);
        // Any key closes the help, and has no other effect.
        assert_eq!(press_all(&mut state, "qq"), [Action::Nothing, Action::Quit]);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        press_all(&mut state, "/");
        assert_eq!(press(&mut state, interrupt, 1), Action::Quit);
    }
}
