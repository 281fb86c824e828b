//! The door is tried from real monoio cores, on both drivers, against a real tokio thread.

use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// A core that is woken "promptly" needs microseconds; the machine may be busy with other tests.
const PROMPT: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug)]
enum Driver {
    IoUring,
    Epoll,
}

/// Runs `core` on a monoio runtime with timers, or skips it where the kernel forbids `io_uring`.
fn on_core<T: Send + 'static>(
    driver: Driver,
    core: impl AsyncFnOnce() -> T + Send + 'static,
) -> thread::JoinHandle<Option<T>> {
    thread::spawn(move || match driver {
        Driver::IoUring => {
            let runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().enable_timer();
            Some(runtime.build().ok()?.block_on(core()))
        }
        Driver::Epoll => {
            let runtime = monoio::RuntimeBuilder::<monoio::LegacyDriver>::new().enable_timer();
            Some(runtime.build().expect("epoll is always there").block_on(core()))
        }
    })
}

/// Answers each number with its double on a tokio thread, after `pause`.
fn doubler(mut questions: Questions<u64, u64>, pause: Duration) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a tokio runtime").block_on(async {
            while let Some(asked) = questions.next().await {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                let double = asked.question * 2;
                asked.answer(double);
            }
        });
    })
}

#[test]
fn an_answer_from_the_tokio_thread_wakes_a_parked_core_promptly() {
    for driver in [Driver::IoUring, Driver::Epoll] {
        let (question, questions) = question(16);
        let control = doubler(questions, Duration::from_millis(20));
        let core = on_core(driver, async move || {
            let mut late_max = Duration::ZERO;
            for number in 0..20 {
                let asked_at = Instant::now();
                // In a spawned task, as a connection is, with nothing else that could wake the core.
                let answer = question.ask(number).expect("there is room");
                assert_eq!(monoio::spawn(answer).await, Ok(number * 2));
                let late = asked_at.elapsed().saturating_sub(Duration::from_millis(20));
                late_max = late_max.max(late);
            }
            late_max
        });
        if let Some(late_max) = core.join().expect("the core lives") {
            assert!(late_max < PROMPT, "{driver:?}: woken {late_max:?} late");
        }
        control.join().expect("the control thread lives");
    }
}

#[test]
fn no_wake_is_lost_when_answers_race_with_the_core_going_to_sleep() {
    for driver in [Driver::IoUring, Driver::Epoll] {
        let (question, questions) = question(256);
        let control = doubler(questions, Duration::ZERO);
        let cores: Vec<_> = (0..2)
            .map(|_| {
                let question = question.clone();
                on_core(driver, async move || {
                    let rounds = (0..8).map(|lane| {
                        let question = question.clone();
                        monoio::spawn(async move {
                            for number in lane * 1000..lane * 1000 + 500 {
                                let answer = question.ask(number).expect("there is room");
                                assert_eq!(answer.await, Ok(number * 2));
                            }
                        })
                    });
                    for round in rounds.collect::<Vec<_>>() {
                        round.await;
                    }
                })
            })
            .collect();
        drop(question);
        for core in cores {
            core.join().expect("the core lives");
        }
        control.join().expect("the control thread lives");
    }
}

#[test]
fn a_question_above_the_bound_fails_at_once_and_there_is_room_after_an_answer() {
    let (question, mut questions) = question::<u32, u32>(2);
    let first = question.ask(1).expect("room");
    let _second = question.ask(2).expect("room");
    assert_eq!(question.ask(3).err(), Some(Unanswered::Overloaded));

    let asked = questions.0.try_recv().expect("the first question");
    assert_eq!(question.ask(3).err(), Some(Unanswered::Overloaded), "taken, but not answered");
    asked.answer(10);
    assert!(question.ask(3).is_ok());
    drop(first);
}

#[test]
fn the_asker_may_leave_before_the_answer() {
    for driver in [Driver::IoUring, Driver::Epoll] {
        let (question, questions) = question(4);
        let control = doubler(questions, Duration::from_millis(50));
        let core = on_core(driver, async move || {
            for number in 0..3 {
                let answer = question.ask(number).expect("room: questions are answered in time");
                let waited = monoio::time::timeout(Duration::from_millis(5), answer).await;
                assert!(waited.is_err(), "the answer takes longer than this asker waits");
            }
            // Late answers must not disturb whoever asks next.
            monoio::time::sleep(Duration::from_millis(200)).await;
            question.ask(21).expect("room").await
        });
        if let Some(answer) = core.join().expect("the core lives") {
            assert_eq!(answer, Ok(42));
        }
        control.join().expect("the control thread lives");
    }
}

#[test]
fn the_answering_side_sees_that_the_asker_has_left() {
    let (question, mut questions) = question::<u32, u32>(1);
    let answer = question.ask(1).expect("room");
    let asked = questions.0.try_recv().expect("a question");
    assert!(!asked.is_abandoned());
    drop(answer);
    assert!(asked.is_abandoned());
    drop(asked);
    assert!(question.ask(2).is_ok(), "an abandoned question does not count any more");
}

#[test]
fn a_question_that_is_dropped_unanswered_ends_the_wait() {
    let (question, mut questions) = question::<u32, u32>(4);
    let core = on_core(Driver::Epoll, {
        let question = question.clone();
        async move || question.ask(1).expect("room").await
    });
    let asked = loop {
        if let Ok(asked) = questions.0.try_recv() {
            break asked;
        }
        thread::yield_now();
    };
    drop(asked);
    assert_eq!(core.join().expect("the core lives"), Some(Err(Unanswered::Dropped)));
    drop(questions);
    assert_eq!(question.ask(2).err(), Some(Unanswered::Dropped), "nobody answers any more");
}
