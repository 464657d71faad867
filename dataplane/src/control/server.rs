//! The control socket's server: HTTP on a thread of its own; what needs the [`Controller`] goes to the thread that owns it.

use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use tokio::sync::oneshot;

use super::socket::ControlSocket;
use super::{Controller, api};

/// Work for the thread that owns the controller.
pub type Job = Box<dyn FnOnce(&mut Controller) + Send>;

/// Jobs that may wait; a client beyond that waits for its turn in the kernel's queue.
const JOBS: usize = 64;
/// How long answers that are under way may take when weir stops.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// The running server.
#[derive(Debug)]
pub struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    // Last: the file goes when nobody is served any more.
    _socket: ControlSocket,
}

/// What handlers hand their jobs to.
#[derive(Clone, Debug)]
pub(super) struct Desk(Sender<Job>);

impl Desk {
    /// Has `work` done by the thread that owns the controller. `None` when weir is stopping.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Controller) -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        // A client that has gone away is no reason to fail.
        let job: Job = Box::new(move |controller| drop(reply.send(work(controller))));
        self.0.try_send(job).ok()?;
        answer.await.ok()
    }
}

impl Server {
    /// Serves on `socket`; the jobs that come out are the caller's to run. The thread inherits the caller's CPUs.
    ///
    /// # Errors
    /// When the thread or its event loop cannot be made.
    pub fn start(socket: ControlSocket) -> std::io::Result<(Self, Receiver<Job>)> {
        let (jobs, inbox) = bounded(JOBS);
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::UnixListener::from_std(socket.listener()?)?
        };
        let app = api::routes(Desk(jobs));
        let serve = move || {
            runtime.block_on(async {
                let stopping = async {
                    _ = stopped.await;
                };
                let (asked, mut leaving) = oneshot::channel::<()>();
                let signal = async move {
                    stopping.await;
                    drop(asked);
                };
                let serving = axum::serve(listener, app).with_graceful_shutdown(signal);
                let late = async {
                    _ = (&mut leaving).await;
                    tokio::time::sleep(LAST_ANSWERS).await;
                };
                tokio::select! {
                    result = std::future::IntoFuture::into_future(serving) => {
                        if let Err(error) = result {
                            tracing::error!(%error, "the control socket is no longer served");
                        }
                    }
                    () = late => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("weir-api".into()).spawn(serve)?;
        Ok((Self { stop: Some(stop), thread: Some(thread), _socket: socket }, inbox))
    }

    /// Takes no more requests, lets the last answers out, and removes the socket.
    pub fn stop(mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the control socket's thread panicked");
        }
    }
}
