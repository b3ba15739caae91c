//! How many tokens of a step each sequence gets.
//!
//! Tenants take turns by *deficit round robin* (Shreedhar and Varghese 1995, "Efficient Fair
//! Queueing Using Deficit Round Robin"): a turn is worth the same number of tokens for each,
//! whoever has nothing to do lets the turn go, and a turn that a step's end cuts short goes on in
//! the next step. Of a tenant's sequences the one with the least to do goes first, so that a text
//! being written gets its one token and a short prompt is not held up by a long one; a quarter is
//! the oldest's whatever comes. And a prompt that takes several steps gets at most half as many
//! tokens of a step as those sequences that the step brings to their end: a short prompt's first
//! token takes at most twice as long as it would alone, also where each of the long one's tokens
//! looks back at thousands of others.

/// What a sequence could read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Want {
    /// The number of its tenant, below that of [`Turns::share`].
    pub(super) tenant: usize,
    pub(super) tokens: usize,
    /// Whether it reads one token after the other, each chosen after the one before.
    pub(super) writes: bool,
}

/// The least that a long prompt gets, so that it comes to its end.
const LEAST: usize = 16;

/// A tenant's turn.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turn {
    /// Tokens that are left of it.
    deficit: usize,
}

/// How many tokens of `budget` each of `wants`, the oldest first, gets. `turns` has one turn for
/// each tenant, and the first of them begins.
///
/// Gives back the number of the tenant that begins the next step.
pub(super) fn share(wants: &[Want], turns: &mut [Turn], budget: usize) -> (Vec<usize>, usize) {
    let mut wanted = vec![0; turns.len()];
    for want in wants {
        wanted[want.tenant] += want.tokens;
    }
    let (allowed, next) = take_turns(&wanted, turns, budget);
    let mut shares = vec![0; wants.len()];
    for (tenant, allowed) in allowed.into_iter().enumerate() {
        let mut of_tenant: Vec<usize> = (0..wants.len())
            .filter(|i| wants[*i].tenant == tenant && wants[*i].tokens > 0)
            .collect();
        let mut left = allowed;
        if let Some(oldest) = of_tenant.first() {
            shares[*oldest] = (allowed / 4).min(wants[*oldest].tokens);
            left -= shares[*oldest];
        }
        of_tenant.sort_by_key(|i| wants[*i].tokens);
        for i in of_tenant {
            let more = (wants[i].tokens - shares[i]).min(left);
            shares[i] += more;
            left -= more;
        }
    }
    hold_back_long(wants, &mut shares, budget);
    (shares, next)
}

/// How many tokens each tenant gets, in turns.
fn take_turns(wanted: &[usize], turns: &mut [Turn], budget: usize) -> (Vec<usize>, usize) {
    let active = wanted.iter().filter(|tokens| **tokens > 0).count();
    let quantum = (budget / active.max(1)).max(1);
    let mut allowed = vec![0; wanted.len()];
    let mut left = budget;
    let mut tenant = 0;
    while left > 0
        && wanted
            .iter()
            .zip(&allowed)
            .any(|(wanted, got)| got < wanted)
    {
        let turn = &mut turns[tenant];
        let wants = wanted[tenant] - allowed[tenant];
        // What was left of a turn is used up before the next begins.
        if turn.deficit == 0 {
            turn.deficit = quantum;
        }
        let got = wants.min(turn.deficit).min(left);
        allowed[tenant] += got;
        left -= got;
        turn.deficit -= got;
        let cut_short = turn.deficit > 0 && got < wants;
        if !cut_short {
            // Who has nothing to do saves nothing up.
            turn.deficit = 0;
            tenant = (tenant + 1) % wanted.len();
        }
    }
    (allowed, tenant)
}

/// Lets prompts that need several steps have half as many tokens as those that end in this one.
fn hold_back_long(wants: &[Want], shares: &mut [usize], budget: usize) {
    let ends =
        |(want, share): (&Want, &usize)| (*share == want.tokens && !want.writes).then_some(*share);
    let ending: usize = wants.iter().zip(shares.iter()).filter_map(ends).sum();
    let long: Vec<usize> = (0..wants.len())
        .filter(|i| wants[*i].tokens > budget && shares[*i] > 0)
        .collect();
    if ending == 0 || long.is_empty() {
        return;
    }
    let most = (ending / (2 * long.len())).max(LEAST);
    for i in long {
        shares[i] = shares[i].min(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(tenant: usize, tokens: usize) -> Want {
        Want {
            tenant,
            tokens,
            writes: false,
        }
    }

    fn write(tenant: usize) -> Want {
        Want {
            tenant,
            tokens: 1,
            writes: true,
        }
    }

    fn shares(tenants: usize, wants: &[Want]) -> Vec<usize> {
        share(wants, &mut vec![Turn::default(); tenants], 128).0
    }

    #[test]
    fn one_alone_gets_all() {
        assert_eq!(shares(1, &[read(0, 4096)]), [128]);
        assert_eq!(shares(1, &[read(0, 40)]), [40]);
    }

    #[test]
    fn a_short_prompt_pays_at_most_half_as_much_again_for_a_long_one() {
        assert_eq!(shares(1, &[read(0, 4096), read(0, 40)]), [20, 40]);
        assert_eq!(shares(2, &[read(0, 4096), read(1, 40)]), [20, 40]);
        // One that takes several steps itself gets most of each.
        assert_eq!(shares(1, &[read(0, 4096), read(0, 120)]), [32, 96]);
        assert_eq!(shares(1, &[read(0, 4096), read(0, 24)]), [16, 24]);
    }

    #[test]
    fn who_writes_gets_a_token_and_holds_nobody_back() {
        assert_eq!(shares(1, &[read(0, 4096), write(0)]), [127, 1]);
    }

    #[test]
    fn the_oldest_gets_on_however_many_shorter_ones_come() {
        let mut wants = vec![read(0, 100)];
        wants.extend([read(0, 20); 10]);
        assert!(shares(1, &wants)[0] >= 32);
    }

    #[test]
    fn tenants_get_the_same_however_many_requests_they_have() {
        let mut wants = vec![read(0, 1000); 9];
        wants.push(read(1, 1000));
        let shares = shares(2, &wants);
        assert_eq!(shares[..9].iter().sum::<usize>(), 64);
        assert_eq!(shares[9], 64);
    }

    /// What each of some tenants has got after so many steps, where each always has as many
    /// prompts to read, of as many tokens, as `wants` says.
    fn got(wants: &[Vec<usize>], budget: usize, steps: usize) -> Vec<usize> {
        let tenants = wants.len();
        let mut turns = vec![Turn::default(); tenants];
        let (mut begins, mut got) = (0, vec![0; tenants]);
        for _ in 0..steps {
            // As the scheduler does: the tenants in order, from the one whose turn it is.
            let order: Vec<usize> = (0..tenants).map(|i| (begins + i) % tenants).collect();
            let of = |(place, tenant): (usize, &usize)| {
                let tokens = wants[*tenant].iter();
                tokens.map(|it| read(place, *it)).collect::<Vec<Want>>()
            };
            let wants: Vec<Want> = order.iter().enumerate().flat_map(of).collect();
            let (shares, next) = share(&wants, &mut turns, budget);
            for (want, share) in wants.iter().zip(shares) {
                got[order[want.tenant]] += share;
            }
            turns.rotate_left(next);
            begins = order[next];
        }
        got
    }

    #[test]
    fn more_tenants_than_tokens_take_turns() {
        let got = got(&vec![vec![50]; 5], 3, 100);
        let (least, most) = (got.iter().min().unwrap(), got.iter().max().unwrap());
        assert!(most - least <= 1, "{got:?}");
    }

    proptest! {
        /// Whoever always has as much to read as a step holds gets as much as any other such
        /// tenant, but for one turn, and nobody gets more, however many prompts who has.
        #[test]
        fn tenants_get_the_same_over_time(
            wants in prop::collection::vec(prop::collection::vec(1_usize..128, 1..20), 1..9),
            steps in 1_usize..200,
        ) {
            const BUDGET: usize = 128;
            let got = got(&wants, BUDGET, steps);
            let busy = |tenant: &usize| wants[*tenant].iter().sum::<usize>() >= BUDGET;
            let turn = BUDGET.div_ceil(wants.len());
            let most = got.iter().max().unwrap();
            for tenant in (0..wants.len()).filter(busy) {
                prop_assert!(got[tenant] + turn >= *most, "{got:?} of {wants:?}");
            }
        }
    }
}
