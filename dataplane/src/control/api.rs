//! HTTP and JSON on the control socket. `docs/cli.md` is its reference.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::rejection::{QueryRejection, StringRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::metrics::{Scrape, StageCycles};
use super::server::Desk;
use super::status::Sample;
use super::{ControlError, Controller, check, picture};
use crate::config::{Config, ConfigErrors, Diagnostic};
use crate::ledger::Report;

/// The largest configuration taken, in octets.
const BODY_OCTETS: usize = 16 << 20;
/// A ledger's window where the request names none, and the longest one.
const WINDOW_MS: u64 = 1000;
const LONGEST_WINDOW_MS: u64 = 600_000;

/// What every handler can reach.
#[derive(Clone, Debug)]
struct Api {
    desk: Desk,
    stage_cycles: Arc<Mutex<StageCycles>>,
}

/// All that can be asked.
pub(super) fn routes(desk: Desk) -> Router {
    Router::new()
        .route("/v1/workers", view(Controller::workers))
        .route("/v1/ports", view(Controller::port_status))
        .route("/v1/networks", view(Controller::network_status))
        .route("/v1/macs", view(|controller, _| controller.mac_status()))
        .route("/v1/neighbours", view(|controller, _| controller.neighbour_status()))
        .route("/v1/tunnels", view(Controller::tunnel_status))
        .route("/v1/drops", view(Controller::drop_status))
        .route("/v1/graph", get(async || Json(picture::picture())))
        .route("/v1/config", get(config))
        .route("/v1/ledger", get(ledger))
        .route("/v1/apply", post(apply))
        .route("/metrics", get(metrics))
        .fallback(async || ApiError::new(StatusCode::NOT_FOUND, "there is nothing at this path", DOCUMENTED))
        .method_not_allowed_fallback(async || {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method", DOCUMENTED)
        })
        .layer(DefaultBodyLimit::max(BODY_OCTETS))
        .with_state(Api { desk, stage_cycles: Arc::default() })
}

const DOCUMENTED: &str = "docs/cli.md lists paths, methods and parameters";

/// A request that was refused or went wrong.
#[derive(Debug)]
struct ApiError {
    status: StatusCode,
    body: Value,
}

impl ApiError {
    fn new(status: StatusCode, error: &str, remedy: &str) -> Self {
        Self { status, body: json!({ "error": error, "remedy": remedy }) }
    }

    fn unprocessable(found: &ConfigErrors) -> Self {
        let mut refused =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, &found.to_string(), "correct the file; nothing was changed");
        if let Some(body) = refused.body.as_object_mut() {
            body.insert("diagnostics".into(), json!(found));
        }
        refused
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        if let ControlError::Config(found) = &error {
            return Self::unprocessable(found);
        }
        let (status, remedy) = match &error {
            ControlError::Restart(_) => (
                StatusCode::CONFLICT,
                "restart weir with the new file, or take these changes back; nothing was changed",
            ),
            ControlError::Stuck { .. } => {
                (StatusCode::INTERNAL_SERVER_ERROR, "see what holds the worker's CPU; then ask again")
            }
            ControlError::Config(_)
            | ControlError::Port(_)
            | ControlError::Device(_)
            | ControlError::Build(_)
            | ControlError::Limit(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "correct what the message names; nothing was changed")
            }
            ControlError::Lost { .. } => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "correct what the message names, then apply a file with all ports again",
            ),
            ControlError::Eal(_) | ControlError::Dpdk { .. } | ControlError::Launch(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "weir's log says more")
            }
        };
        let mut refused = Self::new(status, &error.to_string(), remedy);
        if let (ControlError::Restart(fields), Some(body)) = (&error, refused.body.as_object_mut()) {
            body.insert("restart".into(), json!(fields));
        }
        refused
    }
}

impl From<QueryRejection> for ApiError {
    fn from(error: QueryRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, &error.body_text(), DOCUMENTED)
    }
}

impl From<StringRejection> for ApiError {
    fn from(error: StringRejection) -> Self {
        Self::new(error.status(), &error.body_text(), "send the configuration as UTF-8 text, at most 16 MiB")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

type Answer<T> = Result<Json<T>, ApiError>;

impl Api {
    /// Has `work` done by the control thread.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Controller) -> Result<T, ControlError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let done = self.desk.ask(work).await.ok_or_else(|| {
            let remedy = "ask again in a moment; if it persists, weir has ended";
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "weir is stopping, or too many requests are waiting", remedy)
        })?;
        Ok(done?)
    }
}

/// A list that is made from one sample of all workers.
fn view<T: Serialize + Send + 'static>(make: fn(&Controller, &Sample) -> Vec<T>) -> MethodRouter<Api> {
    get(async move |State(api): State<Api>| -> Answer<Vec<T>> {
        let list = api.ask(move |controller| {
            let sample = controller.sample()?;
            Ok(make(controller, &sample))
        });
        Ok(Json(list.await?))
    })
}

async fn config(State(api): State<Api>) -> Answer<Config> {
    Ok(Json(api.ask(|controller| Ok(controller.config().clone())).await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    window_ms: Option<u64>,
    since: Option<Since>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Since {
    Start,
}

async fn ledger(State(api): State<Api>, query: Result<Query<Window>, QueryRejection>) -> Answer<Vec<Report>> {
    let Query(Window { window_ms, since }) = query?;
    if let Some(Since::Start) = since {
        let reports = api.ask(|controller| {
            let sample = controller.sample()?;
            Ok(controller.ledger_since_start(&sample))
        });
        return Ok(Json(reports.await?));
    }
    let window_ms = window_ms.unwrap_or(WINDOW_MS);
    if !(1..=LONGEST_WINDOW_MS).contains(&window_ms) {
        let error = format!("window_ms is {window_ms}; a window lasts 1 to {LONGEST_WINDOW_MS} ms");
        return Err(ApiError::new(StatusCode::BAD_REQUEST, &error, "choose a window in this range, or since=start"));
    }
    let from = api.ask(Controller::sample).await?;
    tokio::time::sleep(Duration::from_millis(window_ms)).await;
    let reports = api.ask(move |controller| {
        let to = controller.sample()?;
        Ok(controller.ledger(&from, &to))
    });
    Ok(Json(reports.await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApplyQuery {
    #[serde(default)]
    dry_run: bool,
    /// What the text is called in messages.
    file: Option<String>,
}

/// What an apply did, or would do.
#[derive(Debug, Serialize)]
struct ApplyAnswer {
    dry_run: bool,
    /// The plan as people read it, one line a change.
    diff: Vec<String>,
    /// The plan as data.
    plan: crate::config::Plan,
    /// Why it would be refused, if so.
    refused: Option<String>,
    /// Cycles that the change held each worker up; empty for a dry run.
    blocked_cycles: Vec<u64>,
    /// Ticks a second of those cycles.
    tsc_hz: u64,
    warnings: Vec<Diagnostic>,
}

async fn apply(
    State(api): State<Api>,
    query: Result<Query<ApplyQuery>, QueryRejection>,
    body: Result<String, StringRejection>,
) -> Answer<ApplyAnswer> {
    let (Query(ApplyQuery { dry_run, file }), text) = (query?, body?);
    let file = file.unwrap_or_else(|| "configuration".into());
    let (config, warnings) = check::check_text(&text, &file).map_err(|found| ApiError::unprocessable(&found))?;
    let answer = api.ask(move |controller| {
        let tsc_hz = controller.clock().hz();
        let (plan, blocked_cycles) = if dry_run {
            (controller.plan(&config), Vec::new())
        } else {
            let applied = controller.apply(config).map_err(|error| error.placed(&text, &file))?;
            tracing::info!(changes = applied.plan.changes.len(), blocked_cycles = ?applied.blocked_cycles, "applied");
            (applied.plan, applied.blocked_cycles)
        };
        let diff = if plan.is_empty() { Vec::new() } else { plan.to_string().lines().map(str::to_owned).collect() };
        let refused = plan.refusal();
        Ok(ApplyAnswer { dry_run, diff, plan, refused, blocked_cycles, tsc_hz, warnings })
    });
    Ok(Json(answer.await?))
}

/// The Prometheus text format, version 0.0.4.
async fn metrics(State(api): State<Api>) -> Result<impl IntoResponse, ApiError> {
    let scrape = api.ask(Scrape::new).await?;
    let mut cycles = api.stage_cycles.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], scrape.text(&mut cycles)))
}
