//! What a tier charges for tokens.

use crate::money::{MoneyError, Picodollars, parse_decimal};
use crate::tokens::{CompletionTokens, PromptTokens, Usage};

/// The price of one token; never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenRate(Picodollars);

impl TokenRate {
    /// The rate that a price list gives in US dollars per million tokens: `1.25` is 1,250,000
    /// picodollars a token.
    ///
    /// # Errors
    /// When the text is no decimal number of at most six places, or is negative.
    pub fn from_usd_per_million(text: &str) -> Result<Self, MoneyError> {
        let picodollars = parse_decimal(text, 6)?;
        if picodollars < 0 {
            return Err(MoneyError::NotAnAmount(text.to_owned()));
        }
        Ok(Self(Picodollars::new(picodollars)))
    }

    /// The rate in US dollars per million tokens, as a decimal number without trailing zeros: the
    /// text from which [`Self::from_usd_per_million`] reads the same rate.
    #[must_use]
    pub fn to_usd_per_million(self) -> String {
        let (whole, part) = (self.0.get() / 1_000_000, self.0.get() % 1_000_000);
        let part = format!("{part:06}");
        let part = part.trim_end_matches('0');
        let point = if part.is_empty() { "" } else { "." };
        format!("{whole}{point}{part}")
    }

    /// The price of one token.
    #[must_use]
    pub fn per_token(self) -> Picodollars {
        self.0
    }
}

/// A tier's price list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Price {
    /// For a token read.
    pub input: TokenRate,
    /// For a token read from the vendor's prompt cache.
    pub cached_input: TokenRate,
    /// For a token read and put into the vendor's prompt cache.
    pub cache_write: TokenRate,
    /// For a token written.
    pub output: TokenRate,
}

impl Price {
    /// What this usage costs, exactly; of steps of another model, at a price of its own, nothing.
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`] when the sum is beyond what one line can hold.
    pub fn cost(&self, usage: &Usage) -> Result<Picodollars, MoneyError> {
        let own = (usage.prompt, usage.cached_prompt, usage.cache_write_prompt);
        let own = self.of(own, usage.completion)?;
        let aside = &usage.aside;
        let read = (aside.prompt, aside.cached_prompt, aside.cache_write_prompt);
        own.plus(self.of(read, aside.completion)?)
    }

    /// What so many tokens cost: all read ones, those of them from a cache, those put into one,
    /// and all written ones.
    fn of(
        &self,
        (prompt, cached, written): (PromptTokens, PromptTokens, PromptTokens),
        completion: CompletionTokens,
    ) -> Result<Picodollars, MoneyError> {
        let cached = cached.0.min(prompt.0);
        let written = written.0.min(prompt.0 - cached);
        let fresh = prompt.0 - cached - written;
        self.input
            .per_token()
            .times(fresh)?
            .plus(self.cached_input.per_token().times(cached)?)?
            .plus(self.cache_write.per_token().times(written)?)?
            .plus(self.output.per_token().times(completion.0)?)
    }

    /// The most that an attempt can cost which reads at most `prompt` and writes at most
    /// `completion` tokens: nothing is taken to be cached at a lower rate, and everything to be put into a cache.
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`] when the sum is beyond what one line can hold.
    pub fn worst_case(
        &self,
        prompt: PromptTokens,
        completion: CompletionTokens,
    ) -> Result<Picodollars, MoneyError> {
        let dearest = self.input.max(self.cached_input).max(self.cache_write);
        dearest
            .per_token()
            .times(prompt.0)?
            .plus(self.output.per_token().times(completion.0)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn price(input: &str, cached: &str, output: &str) -> Price {
        let rate = |text| TokenRate::from_usd_per_million(text).unwrap();
        Price {
            input: rate(input),
            cached_input: rate(cached),
            cache_write: rate(input),
            output: rate(output),
        }
    }

    #[test]
    fn a_request_costs_what_the_price_list_says() {
        let usage = Usage {
            prompt: PromptTokens(1_000),
            cached_prompt: PromptTokens(400),
            completion: CompletionTokens(10),
            ..Usage::default()
        };
        let cost = price("1.25", "0.125", "10").cost(&usage).unwrap();
        assert_eq!(cost.to_usd(), "0.0009");
        let writing = Price {
            cache_write: TokenRate::from_usd_per_million("2.5").unwrap(),
            ..price("1.25", "0.125", "10")
        };
        let usage = Usage {
            cache_write_prompt: PromptTokens(200),
            ..usage
        };
        assert_eq!(writing.cost(&usage).unwrap().to_usd(), "0.00115");
    }

    #[test]
    fn a_rate_is_never_negative_or_finer_than_a_picodollar() {
        assert!(TokenRate::from_usd_per_million("-1").is_err());
        assert!(TokenRate::from_usd_per_million("0.0000001").is_err());
    }

    proptest! {
        #[test]
        fn a_rate_is_read_back_as_it_was_written(picodollars in 0..i64::MAX) {
            let rate = TokenRate(Picodollars::new(picodollars));
            prop_assert_eq!(TokenRate::from_usd_per_million(&rate.to_usd_per_million()), Ok(rate));
        }

        #[test]
        fn the_worst_case_is_never_below_the_cost(
            rates in proptest::array::uniform4(0_u32..50_000_000),
            prompt in 0_u64..1_000_000,
            cached in 0_u64..1_000_000,
            cache_written in 0_u64..1_000_000,
            completion in 0_u64..100_000,
        ) {
            let [input, cached_input, cache_write, output] =
                rates.map(|r| TokenRate(Picodollars::new(i64::from(r))));
            let price = Price { input, cached_input, cache_write, output };
            let usage = Usage {
                prompt: PromptTokens(prompt),
                cached_prompt: PromptTokens(cached.min(prompt)),
                cache_write_prompt: PromptTokens(cache_written),
                completion: CompletionTokens(completion),
                ..Usage::default()
            };
            let worst = price.worst_case(usage.prompt, usage.completion).unwrap();
            prop_assert!(worst >= price.cost(&usage).unwrap());
            prop_assert!(price.cost(&usage).unwrap() >= Picodollars::ZERO);
        }
    }
}
