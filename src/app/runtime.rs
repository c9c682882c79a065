//! The asynchronous runtime of a session.

use std::future::{Future, poll_fn, ready};
use std::task::Poll;

use anyhow::{Context, Result};
use futures_util::future::Either;

/// A runtime whose tasks share one thread.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")
}

/// Runs a server to its end, without waiting for the look-up of a name that nobody needs any more.
pub(crate) fn run_server<T>(server: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = runtime()?;
    let served = runtime.block_on(server);
    runtime.shutdown_background();
    served
}

/// A future that has been polled: a signal that it waits for counts from now on.
pub(super) async fn armed<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let mut future = Box::pin(future);
    match poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
        Poll::Ready(output) => Either::Left(ready(output)),
        Poll::Pending => Either::Right(future),
    }
}
