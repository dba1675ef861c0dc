//! Many small pieces of work under way at once, within one task.
//!
//! What they wait for arrives over one connection, so there is nothing to gain from waking them one by
//! one: all that are under way are asked again whenever something has come.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// Does all of `works`, in their order, at most `lanes` at a time, until one of them fails.
pub(super) async fn in_lanes<W, E>(
    lanes: usize,
    works: impl IntoIterator<Item = W>,
) -> Result<(), E>
where
    W: Future<Output = Result<(), E>>,
{
    let mut works = works.into_iter();
    let mut under_way: Vec<Pin<Box<W>>> = Vec::new();
    poll_fn(|cx| {
        loop {
            while under_way.len() < lanes {
                let Some(work) = works.next() else { break };
                under_way.push(Box::pin(work));
            }
            let before = under_way.len();
            let mut failure = None;
            under_way.retain_mut(|work| match work.as_mut().poll(cx) {
                Poll::Pending => true,
                Poll::Ready(result) => {
                    failure = failure.take().or(result.err());
                    false
                }
            });
            if let Some(failure) = failure {
                return Poll::Ready(Err(failure));
            }
            if under_way.is_empty() && before == 0 {
                return Poll::Ready(Ok(()));
            }
            // Those that are new have to be asked once before anybody waits.
            if under_way.len() == before {
                return Poll::Pending;
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use futures_lite::future;

    use super::*;

    #[test]
    fn all_is_done_and_never_too_much_at_once() {
        let (running, most, done) = (Cell::new(0), Cell::new(0), RefCell::new(Vec::new()));
        let works = (0..100_usize).map(|number| {
            let (running, most, done) = (&running, &most, &done);
            async move {
                running.set(running.get() + 1);
                most.set(most.get().max(running.get()));
                for _ in 0..=number % 3 {
                    future::yield_now().await;
                }
                running.set(running.get() - 1);
                done.borrow_mut().push(number);
                Ok::<(), ()>(())
            }
        });
        async_io::block_on(in_lanes(7, works)).unwrap();
        let mut done = done.into_inner();
        done.sort_unstable();
        assert_eq!(done, (0..100).collect::<Vec<_>>());
        assert_eq!(most.get(), 7);
    }

    #[test]
    fn the_first_failure_ends_it() {
        let begun = Cell::new(0);
        let works = (0..100).map(|number| {
            begun.set(begun.get() + 1);
            async move { if number == 3 { Err(number) } else { Ok(()) } }
        });
        assert_eq!(async_io::block_on(in_lanes(2, works)), Err(3));
        assert!(begun.get() < 10);
    }
}
