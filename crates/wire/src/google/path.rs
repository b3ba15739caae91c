//! The end of an address, which names the model and what is asked of it.

use std::fmt;

/// What is asked of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// A whole answer.
    GenerateContent,
    /// An answer as a stream.
    StreamGenerateContent,
    /// A count of tokens.
    CountTokens,
    /// The embedding of one text.
    EmbedContent,
    /// The embeddings of several texts.
    BatchEmbedContents,
    /// At Vertex: what a model from before Gemini's makes of its instances, such as vectors of texts.
    Predict,
}

impl Method {
    /// All of them.
    const ALL: [Self; 6] = [
        Self::GenerateContent,
        Self::StreamGenerateContent,
        Self::CountTokens,
        Self::EmbedContent,
        Self::BatchEmbedContents,
        Self::Predict,
    ];

    /// Its name in an address.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GenerateContent => "generateContent",
            Self::StreamGenerateContent => "streamGenerateContent",
            Self::CountTokens => "countTokens",
            Self::EmbedContent => "embedContent",
            Self::BatchEmbedContents => "batchEmbedContents",
            Self::Predict => "predict",
        }
    }
}

/// A model and what is asked of it: what stands behind `models/` in an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The model's name; it may have colons in it.
    pub model: String,
    /// What is asked.
    pub method: Method,
}

impl Target {
    /// The target of `MODEL:METHOD`; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (model, name) = text.rsplit_once(':')?;
        let method = Method::ALL.into_iter().find(|it| it.name() == name)?;
        let model = model.to_owned();
        (!model.is_empty()).then_some(Self { model, method })
    }
}

impl fmt::Display for Target {
    /// The end of an address: `models/MODEL:METHOD`, and for a stream that it shall be one of
    /// events. Before it comes, at AI Studio, `https://HOST/v1beta/`, and at Vertex
    /// `https://HOST/v1/projects/PROJECT/locations/PLACE/publishers/google/`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "models/{}:{}", self.model, self.method.name())?;
        match self.method {
            Method::StreamGenerateContent => f.write_str("?alt=sse"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_and_written() {
        let target = Target::parse("tier:gemini-x:streamGenerateContent").unwrap();
        assert_eq!(target.model, "tier:gemini-x");
        assert_eq!(
            target.to_string(),
            "models/tier:gemini-x:streamGenerateContent?alt=sse"
        );
        for wrong in ["", "gemini-x", ":countTokens", "gemini-x:tuneModel"] {
            assert_eq!(Target::parse(wrong), None, "{wrong}");
        }
    }
}
