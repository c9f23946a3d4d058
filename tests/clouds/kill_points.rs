//! `swarmup` is killed before and after every call of `create` and of `destroy`, and the next command goes on.
//!
//! An undisturbed create and destroy tell which calls there are. For each of them, on both sides of its execution, the
//! emulator holds the call, SIGKILL ends `swarmup`, and what it has left is taken up in one of two ways:
//!
//! ```text
//!   create, killed ── create ── it stands? ── destroy, killed ── destroy ── nothing is left?
//!   create, killed ── destroy ── nothing is left?
//! ```
//! Every call is cut off on both sides in the first way, where a point of `create` and one of `destroy` share a cluster,
//! and on the far side in the second way too. The hosts are real ones throughout.

mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::process::Child;
use std::time::{Duration, Instant};

use tests::cloud::{Cloud, OPERATOR};
use tests::run::{PATIENCE, Run};

use table::{Row, Table};

/// How long to wait before it is looked again whether a call is held.
const PAUSE: Duration = Duration::from_millis(10);
/// How many machines the cluster has.
const MACHINES: usize = 5;

/// How an emulator keeps calls waiting, and what its books hold.
pub(crate) trait Emulator {
    /// The provider's name.
    fn provider(&self) -> &'static str;

    /// The names of the calls since this was asked last, as they came.
    fn calls(&self) -> Vec<String>;

    /// Holds a call from now on, counted from now.
    fn hold(&self, call: &Call, side: Side);

    /// Whether it is held.
    fn is_held(&self) -> bool;

    /// Holds nothing any more; the caller of what was held is gone.
    fn release(&self);

    /// What there is, each thing with its kind.
    fn books(&self) -> Vec<(String, String)>;

    /// How often a command makes a call of this name at least, where it asks again until something has come to be and may
    /// do so less often next time; nothing where it always makes as many.
    fn fewest(&self, command: Command, name: &str) -> Option<u32>;
}

/// A command that is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Create,
    Destroy,
}

/// A call that a command makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// Its name, as the emulator's faults name it.
    pub(crate) name: String,
    /// Which of the calls of that name, from 1.
    pub(crate) nth: u32,
}

/// On which side of its execution a call is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// It is not executed.
    Before,
    /// It is executed, and nobody hears of it.
    After,
}

/// Where a command is killed.
#[derive(Debug, Clone)]
struct Point {
    command: Command,
    call: Call,
    side: Side,
}

/// Where a command that was to be killed has got to.
#[derive(Debug, PartialEq, Eq)]
enum Cut {
    /// To the call, and no further.
    Killed,
    /// To its end: it did not make the call.
    Done,
}

/// A cloud, and how often which kind of thing is in its books.
struct Walk<'a> {
    cloud: &'a Cloud,
    emulator: &'a dyn Emulator,
    create: String,
    /// What is there without any cluster.
    ground: Vec<(String, String)>,
    /// How many of each kind there are while the cluster stands.
    standing: BTreeMap<String, usize>,
    table: Table,
}

/// Kills `swarmup` everywhere, and fails where a next command does not put it right.
pub(crate) fn walk(cloud: &Cloud, emulator: &dyn Emulator, options: &str) {
    let mut walk = Walk {
        cloud,
        emulator,
        create: format!("create lab {options} --managers 3 --workers 2 --ssh-from {OPERATOR}"),
        ground: emulator.books(),
        standing: BTreeMap::new(),
        table: Table::begin(emulator.provider()),
    };
    let creating = walk.undisturbed(Command::Create);
    walk.standing = count_kinds(&emulator.books());
    let destroying = walk.undisturbed(Command::Destroy);

    let mut create_points = points(Command::Create, &creating).into_iter();
    let mut destroy_points = points(Command::Destroy, &destroying).into_iter();
    loop {
        let (create, destroy) = (create_points.next(), destroy_points.next());
        if create.is_none() && destroy.is_none() {
            break;
        }
        walk.step(Command::Create, create, Command::Create);
        walk.step(Command::Destroy, destroy, Command::Destroy);
    }
    for point in points(Command::Create, &creating).into_iter().filter(|point| point.side == Side::After) {
        walk.step(Command::Create, Some(point), Command::Destroy);
    }
    walk.table.conclude();
}

impl Walk<'_> {
    /// Performs a command and tells which calls it made.
    fn undisturbed(&self, command: Command) -> Vec<Call> {
        self.emulator.calls();
        self.swarmup(command).answer();
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        let call = |name: String| {
            let nth = counts.entry(name.clone()).or_default();
            *nth += 1;
            Call { name, nth: *nth }
        };
        let calls = self.emulator.calls().into_iter().map(call).collect();
        self.check(command).unwrap_or_else(|reason| panic!("undisturbed {command}: {reason}"));
        calls
    }

    /// Kills a command at a point, where there is one, and performs the next.
    fn step(&mut self, command: Command, point: Option<Point>, next: Command) {
        let Some(point) = point else {
            if let Err(reason) = self.go_on(command) {
                self.table.give_up(&reason);
            }
            return;
        };
        let begun = Instant::now();
        let outcome = self.kill(&point).and_then(|cut| {
            let is_poll = self.emulator.fewest(command, &point.call.name).is_some_and(|fewest| point.call.nth > fewest);
            match (self.go_on(next)?, cut) {
                (told, Cut::Killed) => Ok(told),
                (told, Cut::Done) if is_poll => Ok(format!("{told}; it was done without this call")),
                (_, Cut::Done) => Err("it was done without this call".to_owned()),
            }
        });
        let is_bad = outcome.is_err();
        self.table.add(&Row { command, call: point.call, side: point.side, next, outcome, took: begun.elapsed() });
        if is_bad {
            self.start_over(next);
        }
    }

    /// Performs a command after which all must be as it should be; what is there then.
    fn go_on(&self, command: Command) -> Result<String, String> {
        let run = self.swarmup(command);
        // Where nothing was announced yet there is nothing to destroy, and that is said.
        let knows_nothing = command == Command::Destroy && run.stderr.contains("there is no cluster `lab`");
        if !run.is_done() && !knows_nothing {
            return Err(format!("{command} failed: {run}"));
        }
        self.check(command)?;
        let told = match command {
            Command::Create => "it stands",
            Command::Destroy if knows_nothing => "nothing had begun",
            Command::Destroy => "nothing is left",
        };
        Ok(told.to_owned())
    }

    /// Begins again after something went wrong, so that the other points can be told of.
    fn start_over(&mut self, next: Command) {
        let again = self.go_on(Command::Destroy).and_then(|_| match next {
            Command::Create => self.go_on(Command::Create),
            Command::Destroy => Ok(String::new()),
        });
        if let Err(reason) = again {
            self.table.give_up(&reason);
        }
    }

    /// Starts a command and kills it where it makes the call.
    fn kill(&self, point: &Point) -> Result<Cut, String> {
        self.emulator.hold(&point.call, point.side);
        let mut swarmup = self.cloud.start(&self.line(point.command));
        let cut = self.wait_until_held(&mut swarmup);
        // It may have ended by itself.
        let _ = swarmup.kill();
        swarmup.wait().unwrap();
        self.emulator.release();
        cut
    }

    fn wait_until_held(&self, swarmup: &mut Child) -> Result<Cut, String> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.emulator.is_held() {
                return Ok(Cut::Killed);
            }
            match swarmup.try_wait().unwrap() {
                Some(status) if status.success() => return Ok(Cut::Done),
                Some(status) => {
                    let mut said = String::new();
                    swarmup.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                    return Err(format!("it failed before it made the call: {status}: {said}"));
                }
                None => std::thread::park_timeout(PAUSE),
            }
        }
        Err("it neither made the call nor ended".to_owned())
    }

    fn line(&self, command: Command) -> String {
        match command {
            Command::Create => self.create.clone(),
            Command::Destroy => "destroy lab --yes".to_owned(),
        }
    }

    fn swarmup(&self, command: Command) -> Run {
        self.cloud.swarmup(&self.line(command))
    }

    /// Whether all is as it should be after a command.
    fn check(&self, command: Command) -> Result<(), String> {
        match command {
            Command::Create => self.check_that_it_stands(),
            Command::Destroy => self.check_that_nothing_is_left(),
        }
    }

    /// Five nodes, all ready; five hosts; of no kind more or less than in an undisturbed cluster.
    fn check_that_it_stands(&self) -> Result<(), String> {
        let nodes = self.cloud.docker("node ls --format {{.Hostname}}|{{.Status}}");
        if !nodes.is_done() {
            return Err(format!("its nodes cannot be listed: {nodes}"));
        }
        let is_ready = |line: &str| line.ends_with("|Ready");
        if nodes.stdout.lines().count() != MACHINES || !nodes.stdout.lines().all(is_ready) {
            return Err(format!("not {MACHINES} nodes that are ready: {}", nodes.stdout));
        }
        self.check_hosts(MACHINES)?;
        let books = self.emulator.books();
        if self.standing.is_empty() || count_kinds(&books) == self.standing {
            return Ok(());
        }
        Err(format!("the books hold {books:?} where of each kind there should be {:?}", self.standing))
    }

    fn check_that_nothing_is_left(&self) -> Result<(), String> {
        let books = self.emulator.books();
        if books != self.ground {
            return Err(format!("left: {books:?}"));
        }
        if self.cloud.home().join("clusters/lab/journal.json").exists() {
            return Err("the journal is left".to_owned());
        }
        self.check_hosts(0)
    }

    /// Waits until the hosts are as many.
    fn check_hosts(&self, wanted: usize) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let count = self.cloud.with_hosts(|hosts| hosts.booted().len());
            if count == wanted {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{count} hosts are up, not {wanted}"));
            }
            std::thread::park_timeout(PAUSE);
        }
    }
}

/// Both sides of every call.
fn points(command: Command, calls: &[Call]) -> Vec<Point> {
    let sides = |call: &Call| [Side::Before, Side::After].map(|side| Point { command, call: call.clone(), side });
    calls.iter().flat_map(sides).collect()
}

fn count_kinds(books: &[(String, String)]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (kind, _) in books {
        *counts.entry(kind.clone()).or_default() += 1;
    }
    counts
}

impl fmt::Display for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Create => "create",
            Self::Destroy => "destroy",
        })
    }
}

impl fmt::Display for Side {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Before => "before",
            Self::After => "after",
        })
    }
}
