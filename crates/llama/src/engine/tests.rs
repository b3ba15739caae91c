//! A step that breaks. Nothing that comes in through the public interface is known to break one,
//! so that the model is damaged here.

use super::*;
use crate::error::RequestError;
use crate::session::Pooling;

static STARTER: &[u8] = include_bytes!("../../../../models/tiergate-starter.gguf");

fn embed(engine: &Engine, token: u32) -> Answer {
    let work = Work::Embed {
        tokens: vec![1, 2, token],
        pooling: Pooling::Last,
    };
    let tenant = Tenant::new("a");
    engine.ask(Request { tenant, work }).unwrap()
}

#[test]
fn a_step_that_breaks_fails_its_requests_and_not_the_engine() {
    let mut model = Model::from_bytes("starter", STARTER).unwrap();
    // One token more than the embedding has rows.
    let beyond = u32::try_from(model.config.vocabulary).unwrap();
    model.config.vocabulary += 1;
    let model = Arc::new(model);
    let mut options = EngineOptions::for_model(&model);
    options.threads = NonZeroUsize::new(2).unwrap();
    let engine = Engine::start(model, options).unwrap();
    let sound = embed(&engine, 3).wait().unwrap();
    for _ in 0..3 {
        assert_eq!(embed(&engine, beyond).wait(), Err(RequestError::Broken));
        assert_eq!(embed(&engine, 3).wait().unwrap().outcome, sound.outcome);
    }
}
