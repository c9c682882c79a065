//! The server of a live page: the page at `/`, what is new of its sessions at `/events`, a session as a
//! file at `/save`, and what knobs would have done to one at `/scenario`.
//!
//! Whoever asks has to name the server as this machine does, so that no page of another origin reads a
//! session. Connections are bounded, and one that takes nothing for half a minute is cut off.

mod hub;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Map, Value};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::origins::Names;
use super::socket::answers::object_of;
use super::socket::capacity::{Demand, HEAD_TIMEOUT};
use super::socket::listener::{Accepted, STOP_GRACE, StopSignal, serve_connections};
use super::socket::watched::{WatchedStream, WriteProgress};

pub use hub::{HubSession, MAX_SESSIONS, PageHub, PageListener};

/// Connections at a time; further clients are turned away.
pub const MAX_CONNECTIONS: usize = 64;
/// A client that takes nothing for this long, while something waits for it, is cut off.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// A page as a file.
#[derive(Debug)]
pub struct SavedPage {
    /// Name of the file.
    pub name: String,
    pub html: String,
}

/// What is served.
pub struct PageServer {
    pub hub: Arc<PageHub>,
    /// The page.
    pub html: String,
    /// Makes a file of the session of that number, which takes its time, or says why not.
    pub save: Arc<SaveSession>,
    /// Says in JSON what these knobs would have done to the session of that number, or why it cannot.
    pub turn: Arc<TurnKnobs>,
}

type SaveSession = dyn Fn(u64) -> Result<SavedPage, String> + Send + Sync;
type TurnKnobs = dyn Fn(u64, &Map<String, Value>) -> Result<String, String> + Send + Sync;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Serves until `shutdown` resolves.
pub async fn serve(
    listener: TcpListener,
    server: PageServer,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let address = listener.local_addr()?;
    let door = Arc::new(Door::new(address, server));
    let demand = Demand { connections: MAX_CONNECTIONS, descriptors: 2 };
    // Who is turned away is told so; nobody else needs to know.
    serve_connections(
        listener,
        demand,
        shutdown,
        |_| (),
        |accepted, stop| converse(accepted, Arc::clone(&door), stop),
    )
    .await
}

/// What all connections share.
struct Door {
    /// `None`: other machines were invited, whatever they call this one.
    names: Option<Names>,
    page: Bytes,
    server: PageServer,
    /// Files and answers are made one at a time.
    working: Semaphore,
}

impl Door {
    fn new(address: SocketAddr, mut server: PageServer) -> Door {
        Door {
            names: address.ip().is_loopback().then(|| Names::new(address, &[])),
            page: Bytes::from(std::mem::take(&mut server.html)),
            server,
            working: Semaphore::new(1),
        }
    }

    async fn answer(&self, request: Request<Incoming>, stop: StopSignal) -> Response<Body> {
        if let Some(names) = &self.names {
            if !names.has_host(request.headers()) {
                return refusal(StatusCode::FORBIDDEN, "the Host header names another server");
            }
            if !names.has_origin(request.headers()) {
                return refusal(StatusCode::FORBIDDEN, "pages of other origins may not ask");
            }
        }
        let is_question = request.uri().path() == "/scenario";
        match *request.method() {
            Method::POST if is_question => return self.turn(request).await,
            Method::GET | Method::HEAD if !is_question => {}
            _ => return refusal(StatusCode::METHOD_NOT_ALLOWED, "this is asked in another way"),
        }
        match request.uri().path() {
            "/" => answer_of(StatusCode::OK, "text/html; charset=utf-8", self.page.clone()),
            "/events" => events(self.server.hub.listener(), stop),
            "/save" => self.save(request.uri().query().unwrap_or_default()).await,
            "/favicon.ico" => answer_of(StatusCode::NO_CONTENT, "image/x-icon", Bytes::new()),
            _ => refusal(StatusCode::NOT_FOUND, "the page is at /"),
        }
    }

    async fn save(&self, query: &str) -> Response<Body> {
        let save = Arc::clone(&self.server.save);
        let saved = self.work(query, move |number| save(number)).await;
        let SavedPage { name, html } = match saved {
            Ok(saved) => saved,
            Err(answer) => return answer,
        };
        let mut answer = answer_of(StatusCode::OK, "text/html; charset=utf-8", Bytes::from(html));
        let name: String = name.chars().filter(|c| is_plain(*c)).collect();
        if let Ok(told) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
            answer.headers_mut().insert(CONTENT_DISPOSITION, told);
        }
        answer
    }

    /// The body is the knobs with their values.
    async fn turn(&self, request: Request<Incoming>) -> Response<Body> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let knobs = match object_of(request, "{\"lead-floor\": 0.6}").await {
            Ok(knobs) => knobs,
            Err(answer) => return answer.map(BodyExt::boxed_unsync),
        };
        let turn = Arc::clone(&self.server.turn);
        match self.work(&query, move |number| turn(number, &knobs)).await {
            Ok(json) => answer_of(StatusCode::OK, "application/json", Bytes::from(json)),
            Err(answer) => answer,
        }
    }

    /// Does what takes time with the session that a query names.
    async fn work<T: Send + 'static>(
        &self,
        query: &str,
        work: impl FnOnce(u64) -> Result<T, String> + Send + 'static,
    ) -> Result<T, Response<Body>> {
        let number = query.strip_prefix("session=").and_then(|number| number.parse().ok());
        let Some(number) = number else {
            return Err(refusal(StatusCode::BAD_REQUEST, "say of which session: ?session=1"));
        };
        let Ok(_turn) = self.working.acquire().await else {
            return Err(refusal(StatusCode::SERVICE_UNAVAILABLE, "the server ends"));
        };
        match tokio::task::spawn_blocking(move || work(number)).await {
            Ok(done) => done.map_err(|sentence| refusal(StatusCode::NOT_FOUND, &sentence)),
            Err(_) => Err(refusal(StatusCode::INTERNAL_SERVER_ERROR, "it broke off, a bug")),
        }
    }
}

/// Whether a character of a file's name needs no quoting anywhere.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
}

/// Serves one connection to its end.
async fn converse(accepted: Accepted, door: Arc<Door>, stop: StopSignal) {
    let Accepted { stream, awaited, .. } = accepted;
    let awaited = Mutex::new(Some(awaited));
    let has_asked = || drop(awaited.lock().unwrap_or_else(PoisonError::into_inner).take());
    talk(stream, door, stop, STUCK_AFTER, has_asked).await;
}

/// Answers on one connection until either end has had enough, or the other end takes nothing for so long;
/// `has_asked` hears of every request.
async fn talk(
    stream: TcpStream,
    door: Arc<Door>,
    mut stop: StopSignal,
    stuck_after: Duration,
    has_asked: impl Fn(),
) {
    // Without it small events would wait for acknowledgements; a socket that refuses is broken anyway.
    let _ = stream.set_nodelay(true);
    let (stream, progress) = WatchedStream::new(stream);
    let signal = stop.clone();
    let respond = service_fn(|request| {
        has_asked();
        let (door, signal) = (Arc::clone(&door), signal.clone());
        async move { Ok::<_, Infallible>(door.answer(request, signal).await) }
    });
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), respond);
    tokio::pin!(conversation);
    tokio::select! {
        _ = conversation.as_mut() => {}
        () = stuck(&progress, stuck_after) => {}
        () = stop.stopped() => {
            conversation.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(STOP_GRACE, conversation.as_mut()).await;
        }
    }
}

/// Resolves when the other end has taken nothing from one look to the next.
async fn stuck(progress: &WriteProgress, look_every: Duration) {
    let mut before = None;
    loop {
        let now = progress.is_waiting().then(|| progress.taken());
        if now.is_some() && now == before {
            return;
        }
        before = now;
        tokio::time::sleep(look_every).await;
    }
}

/// Events for one who looks on, until they leave or the server ends.
fn events(listener: PageListener, stop: StopSignal) -> Response<Body> {
    let events = stream::unfold((listener, stop), |(mut listener, mut stop)| async {
        let event = tokio::select! {
            () = stop.stopped() => return None,
            event = listener.next() => event,
        };
        Some((Ok(Frame::data(Bytes::from(event))), (listener, stop)))
    });
    let body = StreamBody::new(events).boxed_unsync();
    with_headers(Response::new(body), "text/event-stream")
}

fn refusal(status: StatusCode, sentence: &str) -> Response<Body> {
    answer_of(status, "text/plain; charset=utf-8", Bytes::from(format!("{sentence}\n")))
}

fn answer_of(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Body> {
    let mut answer = Response::new(Full::new(body).boxed_unsync());
    *answer.status_mut() = status;
    with_headers(answer, content_type)
}

fn with_headers(mut answer: Response<Body>, content_type: &'static str) -> Response<Body> {
    let headers: [(HeaderName, &'static str); 3] = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    answer.headers_mut().extend(headers.map(|(name, it)| (name, HeaderValue::from_static(it))));
    answer
}
