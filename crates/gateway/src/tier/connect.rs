//! The way to a tier's server, as its settings say.

use upstream::{
    Client, Dialect, Egress, EgressOptions, Endpoint, EndpointOptions, PlainHttp, Pool, Protocol,
    RetryPolicy, Sampling, TimeLimits,
};

use crate::config::{self, MaxTokensField};

/// The way to a tier's servers, or to their stand-in, which speaks OpenAI's protocol.
///
/// # Errors
/// When the settings make no address, or its authorities can't be read.
pub(crate) fn pool(
    settings: &config::RemoteTier,
    simulated: Option<String>,
) -> anyhow::Result<Pool> {
    let egress = Egress::new(&EgressOptions {
        extra_roots_pem: settings.ca_file.clone(),
    })?;
    let url = simulated.as_ref().unwrap_or(&settings.url);
    let options = EndpointOptions {
        protocol: match simulated {
            Some(_) => Protocol::OpenAiChat,
            None => settings.protocol,
        },
        key_header: settings.key_header,
        api_version: settings.api_version.clone().filter(|_| simulated.is_none()),
        key: settings.key.clone().filter(|_| simulated.is_none()),
        google_account: settings
            .google_account
            .clone()
            .filter(|_| simulated.is_none()),
        aws_account: settings.aws_account.clone().filter(|_| simulated.is_none()),
        plain_http: if settings.allow_plain_http {
            PlainHttp::Allowed
        } else {
            PlainHttp::LoopbackOnly
        },
        dialect: Dialect {
            max_tokens: match settings.max_tokens_field {
                MaxTokensField::MaxTokens => upstream::MaxTokensField::MaxTokens,
                MaxTokensField::MaxCompletionTokens => {
                    upstream::MaxTokensField::MaxCompletionTokens
                }
            },
            sampling: if settings.sends_sampling {
                Sampling::Sent
            } else {
                Sampling::Omitted
            },
            ..Dialect::default()
        },
        limits: TimeLimits {
            connect: settings.connect,
            first_token: settings.first_token,
            idle: settings.idle,
            total: settings.total,
        },
        retry: RetryPolicy {
            attempts_max: settings.attempts_max,
            ..RetryPolicy::default()
        },
        ..EndpointOptions::new(url, &settings.model)
    };
    let client = |url: &String| {
        let options = EndpointOptions {
            url: url.clone(),
            ..options.clone()
        };
        anyhow::Ok(Client::new(&egress, Endpoint::new(options)?))
    };
    let others = settings.other_urls.iter().filter(|_| simulated.is_none());
    let others: Result<Vec<Client>, _> = others.map(client).collect();
    Ok(Pool::new(client(url)?, others?))
}
