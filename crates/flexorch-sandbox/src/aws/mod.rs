//! What the AWS endpoints share.
//!
//! | module | its job |
//! | --- | --- |
//! | `endpoint` | start, recorded calls, latency, faults, shutdown |
//! | `error` | errors that are named by their shape |
//! | `fault` | what can happen to a call, and which calls it happens to |
//! | `json` | AWS's JSON protocols over HTTP |
//! | `signature` | the region that a call was signed for |
//! | `xml` | elements of XML documents |

pub(crate) mod endpoint;
pub(crate) mod error;
pub(crate) mod fault;
pub(crate) mod json;
pub(crate) mod signature;
pub(crate) mod xml;
