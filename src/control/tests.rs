use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::*;

/// A task made of a function of the attempt's number.
struct Attempts<F>(Arc<AtomicU32>, F);

impl<F> Task for Attempts<F>
where
    F: Fn(u32, TaskEnv) -> BoxFuture<'static, Result<(), TaskError>> + Send,
{
    fn name(&self) -> &'static str {
        "attempts"
    }

    fn has_last_words(&self) -> bool {
        true
    }

    fn run(&mut self, env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        (self.1)(self.0.fetch_add(1, Ordering::SeqCst), env)
    }
}

fn attempts<F>(run: F) -> (Arc<AtomicU32>, Box<dyn Task>)
where
    F: Fn(u32, TaskEnv) -> BoxFuture<'static, Result<(), TaskError>> + Send + 'static,
{
    let count = Arc::new(AtomicU32::new(0));
    (Arc::clone(&count), Box::new(Attempts(count, run)))
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_task_that_fails_or_panics_is_run_again_after_a_pause() {
    let control = Control::start(Log::silent(), Meter::default()).expect("a thread");
    let (count, task) = attempts(|attempt, _| {
        Box::pin(async move {
            match attempt {
                0 => Err(TaskError::new("no route")),
                1 => panic!("a bug"),
                _ => Ok(()),
            }
        })
    });
    let start = Instant::now();
    let _running = control.spawn(task);
    wait_for("three attempts", || count.load(Ordering::SeqCst) == 3);
    assert!(start.elapsed() >= BACKOFFS, "one second, then two");
    assert!(control.stop(Duration::from_secs(1)), "a task that is done does not hold up the end");
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

const BACKOFFS: Duration = Duration::from_secs(3);

#[test]
fn a_task_ends_when_its_handle_is_dropped() {
    struct Alive(Arc<AtomicU32>);
    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let control = Control::start(Log::silent(), Meter::default()).expect("a thread");
    let ended = Arc::new(AtomicU32::new(0));
    let (count, task) = attempts({
        let ended = Arc::clone(&ended);
        move |_, _| {
            let alive = Alive(Arc::clone(&ended));
            Box::pin(async move {
                std::future::pending::<()>().await;
                drop(alive);
                Ok(())
            })
        }
    });
    let running = control.spawn(task);
    wait_for("it runs", || count.load(Ordering::SeqCst) == 1);
    assert_eq!(ended.load(Ordering::SeqCst), 0);
    drop(running);
    wait_for("it was dropped", || ended.load(Ordering::SeqCst) == 1);
}

#[test]
fn stopping_lets_tasks_bring_their_work_home() {
    let control = Control::start(Log::silent(), Meter::default()).expect("a thread");
    let brought = Arc::new(AtomicU32::new(0));
    let (count, task) = attempts({
        let brought = Arc::clone(&brought);
        move |_, mut env| {
            let brought = Arc::clone(&brought);
            Box::pin(async move {
                env.stopping().await;
                tokio::time::sleep(Duration::from_millis(30)).await;
                brought.fetch_add(1, Ordering::SeqCst);
                Ok(())
            })
        }
    });
    let _running = control.spawn(task);
    wait_for("it runs", || count.load(Ordering::SeqCst) == 1);
    assert!(control.stop(Duration::from_secs(5)));
    assert_eq!(brought.load(Ordering::SeqCst), 1);
}

#[test]
fn stopping_does_not_wait_longer_than_told_for_a_task_that_goes_on() {
    let control = Control::start(Log::silent(), Meter::default()).expect("a thread");
    let (count, task) = attempts(|_, _| Box::pin(std::future::pending()));
    let _running = control.spawn(task);
    wait_for("it runs", || count.load(Ordering::SeqCst) == 1);
    let start = Instant::now();
    assert!(!control.stop(Duration::from_millis(50)));
    assert!(start.elapsed() < Duration::from_secs(1));
}

/// Waits for something that never comes, and has nothing to say at the end.
struct Silent;

impl Task for Silent {
    fn name(&self) -> &'static str {
        "silent"
    }

    fn run(&mut self, _env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        Box::pin(std::future::pending())
    }
}

#[test]
fn stopping_waits_for_no_task_that_has_nothing_to_say() {
    let control = Control::start(Log::silent(), Meter::default()).expect("a thread");
    let _running = control.spawn(Box::new(Silent));
    assert!(control.stop(Duration::from_secs(5)));
}

#[test]
fn a_task_that_is_dismissed_says_its_last_words() {
    let control = Control::start(Log::silent(), Meter::default()).expect("a thread");
    let said = Arc::new(AtomicU32::new(0));
    let (count, task) = attempts({
        let said = Arc::clone(&said);
        move |_, mut env| {
            let said = Arc::clone(&said);
            Box::pin(async move {
                env.stopping().await;
                said.fetch_add(1, Ordering::SeqCst);
                Ok(())
            })
        }
    });
    let running = control.spawn(task);
    wait_for("it runs", || count.load(Ordering::SeqCst) == 1);
    running.dismiss();
    wait_for("it has spoken", || said.load(Ordering::SeqCst) == 1);
}

#[test]
fn the_start_waits_for_ports_and_not_for_ever() {
    struct Opens(Duration);
    impl Task for Opens {
        fn name(&self) -> &'static str {
            "opens"
        }

        fn is_exclusive(&self) -> bool {
            true
        }

        fn run(&mut self, env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
            Box::pin(async move {
                tokio::time::sleep(self.0).await;
                env.opened();
                std::future::pending().await
            })
        }
    }
    let control = Control::start(Log::silent(), Meter::default()).expect("a thread");
    let took = |at_most| {
        let start = Instant::now();
        control.wait_opened(at_most);
        start.elapsed()
    };
    let _soon = control.spawn(Box::new(Opens(Duration::from_millis(50))));
    let waited = took(Duration::from_secs(10));
    assert!((50..5_000).contains(&waited.as_millis()), "{waited:?}");
    let late = control.spawn(Box::new(Opens(Duration::from_secs(100))));
    assert!(took(Duration::from_millis(60)) >= Duration::from_millis(60), "at most so long");
    drop(late);
    assert!(took(Duration::from_secs(10)) < Duration::from_secs(5), "it has ended");
}
