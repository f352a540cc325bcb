use std::collections::BTreeMap;
use std::io;
use std::panic;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

use ureq::Agent;

use super::config::HubConfig;
use super::error::HubError;
use super::event::HubEvent;
use super::fetched::{Fetched, FetchedFile};
use super::layout::{self, RepoFolder};
use super::listing::{RepoFile, RepoKind, RepoListing, is_hex, is_safe_path};
use super::offline::{self, MAX_INDEX_BYTES};
use super::remote::{self, Remote};
use super::retry::Tries;
use super::selection::FileSelection;
use super::stop::Stop;
use super::transfer::Transfer;
use super::tree;
use crate::name::RepoId;

/// How soon a cancellation is seen while nothing else happens.
const TICK: Duration = Duration::from_millis(50);

/// A Hub of model and data set repositories, and the folder in which their files are kept.
///
/// Files are kept as other programs keep them that use the Hugging Face cache, so that they can
/// share it. Calls block; they may be made from several threads.
///
/// # Examples
///
/// ```no_run
/// use std::sync::atomic::AtomicBool;
///
/// use collimate_models::{FileSelection, Hub, HubConfig, RepoKind};
///
/// let hub = Hub::new(HubConfig::new("cache"))?;
/// let cancelled = AtomicBool::new(false);
/// let fetched = hub.fetch(
///     &"Qwen/Qwen2.5-0.5B".parse()?,
///     RepoKind::Model,
///     "main",
///     &FileSelection::needed(),
///     &mut |event| eprintln!("{event:?}"),
///     &cancelled,
/// )?;
/// println!("{} at {}", fetched.path.display(), fetched.commit);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Hub {
    config: HubConfig,
}

impl Hub {
    /// Checks the settings; no connection is made yet.
    ///
    /// # Errors
    ///
    /// The setting that can't be used.
    pub fn new(config: HubConfig) -> Result<Self, HubError> {
        config.check()?;
        Ok(Self { config })
    }

    /// The commit that a revision names, and its files. In offline mode, as the cache knows them.
    ///
    /// # Errors
    ///
    /// The repository or the revision isn't there or may not be read, or the Hub can't be reached;
    /// [`HubError::NotCached`] in offline mode.
    pub fn resolve(
        &self,
        repo: &RepoId,
        kind: RepoKind,
        revision: &str,
    ) -> Result<RepoListing, HubError> {
        let mut listing = listing(repo, kind, revision)?;
        let folder = RepoFolder::new(&self.config.cache, repo, kind);
        if self.config.offline {
            offline::list(&folder, &mut listing)?;
            return Ok(listing);
        }
        let cancelled = AtomicBool::new(false);
        let (stop, agent) = (Stop::new(&cancelled), remote::agent(&self.config)?);
        let remote = Remote::new(&self.config, repo, kind, revision, &stop, &agent);
        self.list(&remote, &folder, &stop, &|_| {}, &mut listing)?;
        Ok(listing)
    }

    /// Makes sure that the selected files of a revision are in the cache. Files that are there
    /// already are not transferred again, and files of which a part is there are continued.
    ///
    /// `observer` is called on this thread. When `cancelled` becomes true, the call returns soon: at
    /// once, except that looking up and reaching a server that doesn't answer ends with the timeout.
    /// The revision's name is noted in the cache after all files have arrived: until then it leads to
    /// what it led to before.
    ///
    /// # Errors
    ///
    /// As [`HubError`] tells: missing or closed repositories, revisions and files; no answer; content
    /// that isn't what the Hub states; a disk that is full; cancellation. What arrived is kept. In
    /// offline mode [`HubError::NotCached`] names what is missing; without it the cache never stands
    /// in for a Hub that can't be reached.
    pub fn fetch(
        &self,
        repo: &RepoId,
        kind: RepoKind,
        revision: &str,
        selection: &FileSelection,
        observer: &mut dyn FnMut(HubEvent),
        cancelled: &AtomicBool,
    ) -> Result<Fetched, HubError> {
        let listing = listing(repo, kind, revision)?;
        let folder = RepoFolder::new(&self.config.cache, repo, kind);
        let stop = Stop::new(cancelled);
        if self.config.offline {
            let fetched = offline::fetch(&self.config, &folder, listing, selection, &stop)?;
            observer(HubEvent::Listed { files: fetched.files.len(), bytes: fetched.bytes() });
            for file in &fetched.files {
                observer(HubEvent::Reused { file: file.path.clone() });
            }
            return Ok(fetched);
        }
        let agent = remote::agent(&self.config)?;
        let remote = Remote::new(&self.config, repo, kind, revision, &stop, &agent);
        let empty = listing.clone();
        let result = thread::scope(|scope| {
            let (events, received) = mpsc::channel();
            let connections = Connections { stop: &stop, agent: &agent };
            let run = || self.run(&folder, listing, selection, &remote, &stop, events);
            let running = spawn(scope, run)?;
            loop {
                match received.recv_timeout(TICK) {
                    Ok(event) => observer(event),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                if stop.is_set() {
                    connections.end();
                }
            }
            join(running)
        });
        result.map_err(|error| match error {
            HubError::Network { repo, revision, url, source, .. } => {
                let stop = Stop::new(cancelled);
                let found = offline::fetch(&self.config, &folder, empty, selection, &stop);
                HubError::Network { repo, revision, url, source, cached: found.is_ok() }
            }
            other => other,
        })
    }

    /// Lists the files of the revision: asks for its commit if it isn't one, and for the files if
    /// the cache doesn't know them.
    fn list(
        &self,
        remote: &Remote<'_>,
        folder: &RepoFolder,
        stop: &Stop<'_>,
        emit: &dyn Fn(HubEvent),
        listing: &mut RepoListing,
    ) -> Result<(), HubError> {
        let tries = || Tries::new(&self.config, stop, emit, None);
        listing.commit = if is_hex(&listing.revision, 40) {
            listing.revision.clone()
        } else {
            tries().run(|| remote.commit())?
        };
        if !tree::read(folder, listing)? {
            tries().run(|| remote.list(listing))?;
        }
        Ok(())
    }

    fn run(
        &self,
        folder: &RepoFolder,
        mut listing: RepoListing,
        selection: &FileSelection,
        remote: &Remote<'_>,
        stop: &Stop<'_>,
        events: Sender<HubEvent>,
    ) -> Result<Fetched, HubError> {
        // Nobody listens any more only after a panic.
        let emit = |event| drop(events.send(event));
        self.list(remote, folder, stop, &emit, &mut listing)?;
        folder.tag().map_err(HubError::io("writing into", folder.cache()))?;
        tree::write(folder, &listing)?;

        let snapshot = folder.snapshot(&listing.commit);
        let config = &self.config;
        let transfer = Transfer { config, folder, listing: &listing, remote, stop, emit: &emit };
        let mut files: BTreeMap<String, FetchedFile> = BTreeMap::new();
        let chosen = selection.choose(&listing, &mut |index| {
            let at = snapshot.join(index);
            let too_large = || io::Error::from(io::ErrorKind::FileTooLarge);
            match listing.files.get(index) {
                Some(file) if file.size <= MAX_INDEX_BYTES => {
                    files.insert(index.to_owned(), transfer.fetch(index, file)?);
                }
                _ => return Err(HubError::io("reading", &at)(too_large())),
            }
            layout::read_small(&at, MAX_INDEX_BYTES).map_err(HubError::io("reading", &at))
        })?;
        let chosen: Vec<(&String, &RepoFile)> =
            listing.files.iter().filter(|(path, _)| chosen.contains(*path)).collect();
        let bytes = chosen.iter().fold(0_u64, |sum, (_, file)| sum.saturating_add(file.size));
        emit(HubEvent::Listed { files: chosen.len(), bytes });
        let rest: Vec<_> =
            chosen.into_iter().filter(|(path, _)| !files.contains_key(*path)).collect();
        for file in self.transfer_all(&transfer, &rest)? {
            files.insert(file.path.clone(), file);
        }
        let noted = folder.write_ref(&listing.revision, &listing.commit);
        noted.map_err(HubError::io("noting the revision in", folder.cache()))?;
        let files = files.into_values().collect();
        let RepoListing { repo, kind, revision, commit, .. } = listing;
        Ok(Fetched { repo, kind, revision, commit, path: snapshot, files })
    }

    /// Transfers files on several threads, this one among them.
    fn transfer_all(
        &self,
        transfer: &Transfer<'_>,
        files: &[(&String, &RepoFile)],
    ) -> Result<Vec<FetchedFile>, HubError> {
        let next = AtomicUsize::new(0);
        let fetched = Mutex::new(Vec::with_capacity(files.len()));
        let work = || -> Result<(), HubError> {
            while let Some((path, file)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                let file = transfer.fetch(path, file).inspect_err(|_| transfer.stop.set())?;
                fetched.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(file);
            }
            Ok(())
        };
        let results = thread::scope(|scope| {
            let others = self.config.transfers.min(files.len()).saturating_sub(1);
            let running: Result<Vec<_>, HubError> =
                (0..others).map(|_| spawn(scope, work)).collect();
            let running = running.inspect_err(|_| transfer.stop.set())?;
            let own = work();
            let others = running.into_iter().map(join);
            Ok::<Vec<_>, HubError>(std::iter::once(own).chain(others).collect())
        })?;
        // Whoever failed has stopped the others.
        let mut cancelled = Ok(());
        for result in results {
            match result {
                Err(HubError::Cancelled) => cancelled = Err(HubError::Cancelled),
                other => other?,
            }
        }
        cancelled?;
        Ok(fetched.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}

fn listing(repo: &RepoId, kind: RepoKind, revision: &str) -> Result<RepoListing, HubError> {
    if !is_safe_path(revision) {
        let revision = revision.chars().take(200).collect();
        return Err(HubError::InvalidRevision { revision });
    }
    let (repo, revision) = (repo.clone(), revision.to_owned());
    Ok(RepoListing { repo, kind, revision, commit: String::new(), files: BTreeMap::new() })
}

/// Ends the connections of a call when dropped: if the observer panics, the threads are not left to
/// finish.
struct Connections<'a> {
    stop: &'a Stop<'a>,
    agent: &'a Agent,
}

impl Connections<'_> {
    fn end(&self) {
        self.agent.clone().shutdown();
    }
}

impl Drop for Connections<'_> {
    fn drop(&mut self) {
        self.stop.set();
        self.end();
    }
}

fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    run: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, HubError> {
    let builder = thread::Builder::new().name("hub".to_owned());
    builder.spawn_scoped(scope, run).map_err(|error| HubError::Setup { source: error.into() })
}

fn join<T>(running: ScopedJoinHandle<'_, T>) -> T {
    running.join().unwrap_or_else(|payload| panic::resume_unwind(payload))
}
