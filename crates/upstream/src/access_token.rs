//! Access tokens: asked for when the first is needed, kept, and renewed before they run out.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http_body_util::{BodyExt as _, Limited};
use secrecy::zeroize::Zeroizing;
use tokio::sync;
use tokio::time::{Instant, timeout_at};
use wire::google::account::{AccessToken, parse_refusal, parse_token};

use crate::client::unreached;
use crate::egress::HttpClient;
use crate::error::{Refusal, Unreached, UpstreamError, VendorAnswer};
use crate::google_account::GoogleAccount;

/// How long before its end a token is renewed. Google's machines give out another from then on.
const RENEW_BEFORE: Duration = Duration::from_secs(225);
/// How long a renewal that failed is left alone, where the token is still good.
const RENEW_AGAIN: Duration = Duration::from_secs(15);
/// How long a token may take to come.
const COMES_WITHIN: Duration = Duration::from_secs(10);
/// Most bytes of an answer with a token.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The tokens of one account. At any time one request at most is on its way for another.
pub(crate) struct AccessTokens {
    account: GoogleAccount,
    http: HttpClient,
    connect: Duration,
    held: Mutex<Option<Held>>,
    renewing: sync::Mutex<()>,
}

#[derive(Clone)]
struct Held {
    header: HeaderValue,
    renew: Instant,
    end: Instant,
}

impl AccessTokens {
    /// The tokens of this account, none of which was asked for yet.
    pub(crate) fn new(account: GoogleAccount, http: HttpClient, connect: Duration) -> Self {
        Self {
            account,
            http,
            connect,
            held: Mutex::new(None),
            renewing: sync::Mutex::new(()),
        }
    }

    /// The value of the header `authorization` for a request that is sent now.
    ///
    /// # Errors
    /// When no token comes before `until`: nothing was sent to the vendor itself then.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped: the next who needs a token asks for it.
    pub(crate) async fn header(&self, until: Instant) -> Result<HeaderValue, UpstreamError> {
        let now = Instant::now();
        let held = self.good_until(|held| held.end);
        match held {
            Some(held) if now < held.renew => Ok(held.header),
            Some(held) => Ok(self.renewed_early(held, until).await),
            None => {
                let turn = timeout_at(until, self.renewing.lock()).await;
                let _turn = turn.map_err(|_elapsed| self.unreachable(Unreached::Total))?;
                // Somebody may have been quicker.
                let held = self.good_until(|held| held.renew);
                match held {
                    Some(held) => Ok(held.header),
                    None => self.fetch(until).await,
                }
            }
        }
    }

    /// Has the next request ask for another token: the vendor does not take this one.
    pub(crate) fn forget(&self) {
        *self.held() = None;
    }

    /// Another token; or, while somebody else asks for it or it does not come, the one that is
    /// still good.
    async fn renewed_early(&self, good: Held, until: Instant) -> HeaderValue {
        let Ok(_turn) = self.renewing.try_lock() else {
            return good.header;
        };
        match self.fetch(until).await {
            Ok(header) => header,
            Err(error) => {
                tracing::warn!(%error, "an access token can't be renewed yet");
                let mut held = self.held();
                if let Some(held) = held.as_mut() {
                    held.renew = Instant::now() + RENEW_AGAIN;
                }
                good.header
            }
        }
    }

    async fn fetch(&self, until: Instant) -> Result<HeaderValue, UpstreamError> {
        let until = until.min(Instant::now() + COMES_WITHIN);
        let answer = timeout_at(until, self.answer()).await;
        let token = answer.map_err(|_elapsed| {
            let what = format!("gave no access token within {COMES_WITHIN:?}");
            self.unreachable(Unreached::Failed(what))
        })??;
        let lifetime = Duration::from_secs(token.lifetime_s);
        let header = Zeroizing::new(format!("Bearer {}", token.token));
        let mut header = HeaderValue::from_str(&header).map_err(|_invalid| self.no_token())?;
        header.set_sensitive(true);
        let end = Instant::now().checked_add(lifetime);
        let end = end.ok_or_else(|| self.no_token())?;
        *self.held() = Some(Held {
            header: header.clone(),
            renew: end - RENEW_BEFORE.min(lifetime / 2),
            end,
        });
        Ok(header)
    }

    async fn answer(&self) -> Result<AccessToken, UpstreamError> {
        let request = self.account.request().ok_or_else(|| {
            let what = "the private key of the account signs nothing".to_owned();
            self.unreachable(Unreached::Failed(what))
        })?;
        let response = self.http.request(request).await;
        let response =
            response.map_err(|error| self.unreachable(unreached(&error, self.connect)))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let body: Bytes = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(_cut_or_too_long) => return Err(self.no_token()),
        };
        if status.is_success() {
            return parse_token(&body).ok_or_else(|| self.no_token());
        }
        if status.is_client_error() && !matches!(status.as_u16(), 408 | 429) {
            return Err(UpstreamError::Refused {
                host: self.account.host(),
                answer: VendorAnswer {
                    status: status.as_u16(),
                    kind: parse_refusal(&body),
                    code: None,
                },
                reason: Refusal::Credentials,
            });
        }
        let what = format!("gave no access token but status {}", status.as_u16());
        Err(self.unreachable(Unreached::Failed(what)))
    }

    fn no_token(&self) -> UpstreamError {
        let what = "answered with something else than an access token".to_owned();
        self.unreachable(Unreached::Failed(what))
    }

    fn unreachable(&self, cause: Unreached) -> UpstreamError {
        let host = self.account.host();
        UpstreamError::Unreachable { host, cause }
    }

    /// The token there is, if this time of it lies ahead.
    fn good_until(&self, time: fn(&Held) -> Instant) -> Option<Held> {
        let held = self.held().clone();
        held.filter(|held| Instant::now() < time(held))
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        // A token is put in by one assignment, so a poisoned lock leaves no half state.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
