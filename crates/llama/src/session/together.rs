//! Several sequences that go on by a token each, in one step.

use super::Session;
use crate::cancel::Cancel;
use crate::error::RequestError;
use crate::forward::{Forward, Sequence};
use crate::kernels::Panel;
use crate::tokenizer::TokenId;
use std::sync::Arc;

impl Session {
    /// Reads one token in each of several sequences of the same model, all together: the weights
    /// are read from memory once for all of them. The first session's threads compute. Each
    /// session's logits are there afterwards, the same as if it had read its token alone.
    ///
    /// # Errors
    ///
    /// As [`Session::prefill`], and then no session has read anything.
    ///
    /// # Panics
    ///
    /// Where there are not as many tokens as sessions, or the sessions are of several models.
    pub fn decode_together(
        sessions: &mut [&mut Self],
        tokens: &[TokenId],
    ) -> Result<(), RequestError> {
        assert_eq!(sessions.len(), tokens.len(), "one token for each session");
        let Some(first) = sessions.first() else {
            return Ok(());
        };
        let (model, team) = (Arc::clone(&first.model), Arc::clone(&first.team));
        for (session, token) in sessions.iter().zip(tokens) {
            assert!(Arc::ptr_eq(&session.model, &model), "one model for all");
            session.check(&[*token], session.tokens.len())?;
            session.cancel.check()?;
        }
        let cancel = Cancel::new();
        let forward = Forward {
            model: &model,
            team: &team,
            cancel: &cancel,
        };
        let mut scratch = std::mem::take(&mut sessions[0].scratch);
        let mut batch: Vec<Sequence<'_>> = sessions
            .iter_mut()
            .zip(tokens)
            .map(|(session, token)| Sequence {
                cache: &mut session.cache,
                after: None,
                tokens: std::slice::from_ref(token),
                wanted: 0..1,
            })
            .collect();
        let outputs = forward.run(&mut batch, &mut scratch)?;
        let logits = forward.logits(&outputs, &mut scratch);
        let outputs = outputs.chunks_exact(model.config.dim);
        for (row, ((session, token), output)) in
            sessions.iter_mut().zip(tokens).zip(outputs).enumerate()
        {
            session.tokens.push(*token);
            session.last_output = Some(output.to_vec());
            session.logits = Some(row_of(logits, row));
        }
        sessions[0].scratch = scratch;
        Ok(())
    }
}

fn row_of(panel: &Panel, row: usize) -> Vec<f32> {
    let mut to = vec![0.0; panel.width()];
    panel.copy(row, 0, &mut to);
    to
}
