use serde::{Deserialize, Serialize};

use crate::recognize::mapping::Column;

/// How a data set writes its records, told from its columns.
///
/// Names are compared without case, and with spaces and hyphens as underscores. In brackets is what
/// may be absent. Where an example has turns, a chat template renders them; text is used as it is.
///
/// | form | columns | becomes |
/// |---|---|---|
/// | `Text` | `text` | text |
/// | `Messages` | `messages` (`conversation`, `conversations`, `dialogue`, …): `[{role, content, …}]`, (`system`), (`tools`) | a conversation; with `label` or `kto_tag`, unpaired: the last turn is judged |
/// | `ShareGpt` | the same with `[{from, value}]` | the same |
/// | `PromptCompletion` | `prompt`, `completion` | texts as they are, or turns where they are lists |
/// | `Unpaired` | `prompt`, `completion`, `label` (a truth value) | the same, with the label |
/// | `Preference` | (`prompt`), `chosen`, `rejected` | texts as they are, or turns where they are lists, whose common beginning is the prompt |
/// | `Transcripts` | `chosen`, `rejected`, each `"\n\nHuman: …\n\nAssistant: …"` | turns, whose common beginning is the prompt |
/// | `Instruction` | `instruction`, (`input` or `context`), `output` or `response`, (`system`), (`history`) | a user's turn (instruction, blank line, input) and the assistant's; with `label` or `kto_tag`, unpaired |
/// | `QuestionAnswer` | `question` or `query`, `answer` or `response`; or `prompt`, `response`; (`system`) | a user's turn and the assistant's |
/// | `InstructionPreference` | `instruction`, `question` or `query`, (`input`), (`system`), `chosen` and `rejected` (or `response_j`, `response_k`) | a user's turn, and the assistant's twice |
/// | `ConversationPreference` | a conversation, `chosen`, `rejected` (one turn or several) | turns |
/// | `AlignmentInstruction` | `accepted`, `rejected` (also `…_response`), (`instruction`), (`prompt`) | turns: see below |
///
/// In an `AlignmentInstruction` the instruction says how to answer: it is a system turn before the
/// `prompt`, which is the user's. Where `accepted` and `rejected` are whole transcripts, the user's
/// turns are in them, and `prompt` is not used. Where there is only one of `instruction` and
/// `prompt`, it is the user's turn.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[allow(missing_docs, reason = "the table above documents all of them")]
pub enum RecordForm {
    Text,
    Messages,
    ShareGpt,
    PromptCompletion,
    Unpaired,
    Preference,
    Transcripts,
    Instruction,
    QuestionAnswer,
    InstructionPreference,
    ConversationPreference,
    AlignmentInstruction,
}

/// What a record is for, whatever its form.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecordKind {
    /// One text.
    Text,
    /// One conversation.
    Conversation,
    /// A prompt and what is to follow it.
    PromptCompletion,
    /// Two ways to go on, of which one is preferred.
    Preference,
    /// One way to go on, and whether it is wanted.
    Unpaired,
}

/// The columns by which a form is known: each with its names, the more usual first.
pub(crate) struct Signature {
    pub(crate) form: RecordForm,
    pub(crate) needs: &'static [(Column, &'static [&'static str])],
    pub(crate) takes: &'static [(Column, &'static [&'static str])],
}

const CONVERSATION: (Column, &[&str]) = (
    Column::Messages,
    &["messages", "conversations", "conversation", "dialogue", "dialog", "dialogs", "turns"],
);
const INSTRUCTION: (Column, &[&str]) = (Column::Prompt, &["instruction", "instructions"]);
const QUESTION: (Column, &[&str]) = (Column::Prompt, &["question", "query"]);
const PROMPT: (Column, &[&str]) = (Column::Prompt, &["prompt"]);
const CHOSEN: (Column, &[&str]) = (Column::Chosen, &["chosen"]);
const REJECTED: (Column, &[&str]) = (Column::Rejected, &["rejected"]);
const INPUT: (Column, &[&str]) = (Column::Input, &["input", "context"]);
const SYSTEM: (Column, &[&str]) = (Column::System, &["system", "system_prompt"]);
const TOOLS: (Column, &[&str]) = (Column::Tools, &["tools"]);
const LABEL: (Column, &[&str]) = (Column::Label, &["label", "kto_tag"]);
const HISTORY: (Column, &[&str]) = (Column::History, &["history"]);

/// All signatures; a form may have several.
pub(crate) const SIGNATURES: &[Signature] = &[
    Signature { form: RecordForm::Text, needs: &[(Column::Text, &["text"])], takes: &[] },
    // Which of the two it is, the turns themselves say.
    Signature {
        form: RecordForm::Messages,
        needs: &[CONVERSATION],
        takes: &[SYSTEM, TOOLS, LABEL],
    },
    Signature {
        form: RecordForm::ShareGpt,
        needs: &[CONVERSATION],
        takes: &[SYSTEM, TOOLS, LABEL],
    },
    Signature {
        form: RecordForm::PromptCompletion,
        needs: &[PROMPT, (Column::Completion, &["completion"])],
        takes: &[TOOLS],
    },
    Signature {
        form: RecordForm::Unpaired,
        needs: &[PROMPT, (Column::Completion, &["completion"]), LABEL],
        takes: &[TOOLS],
    },
    Signature { form: RecordForm::Preference, needs: &[CHOSEN, REJECTED], takes: &[PROMPT, TOOLS] },
    Signature { form: RecordForm::Transcripts, needs: &[CHOSEN, REJECTED], takes: &[] },
    Signature {
        form: RecordForm::Instruction,
        needs: &[INSTRUCTION, (Column::Completion, &["output", "response", "completion"])],
        takes: &[INPUT, SYSTEM, HISTORY, LABEL],
    },
    Signature {
        form: RecordForm::QuestionAnswer,
        needs: &[QUESTION, (Column::Completion, &["answer", "response"])],
        takes: &[SYSTEM],
    },
    Signature {
        form: RecordForm::QuestionAnswer,
        needs: &[PROMPT, (Column::Completion, &["response"])],
        takes: &[SYSTEM],
    },
    Signature {
        form: RecordForm::InstructionPreference,
        needs: &[INSTRUCTION, CHOSEN, REJECTED],
        takes: &[INPUT, SYSTEM, HISTORY],
    },
    Signature {
        form: RecordForm::InstructionPreference,
        needs: &[QUESTION, CHOSEN, REJECTED],
        takes: &[SYSTEM],
    },
    Signature {
        form: RecordForm::InstructionPreference,
        needs: &[
            (Column::Prompt, &["question", "query", "prompt", "instruction"]),
            (Column::Chosen, &["response_j"]),
            (Column::Rejected, &["response_k"]),
        ],
        takes: &[SYSTEM],
    },
    Signature {
        form: RecordForm::ConversationPreference,
        needs: &[CONVERSATION, CHOSEN, REJECTED],
        takes: &[SYSTEM, TOOLS],
    },
    Signature {
        form: RecordForm::AlignmentInstruction,
        needs: &[
            (Column::Chosen, &["accepted", "accepted_response"]),
            (Column::Rejected, &["rejected", "rejected_response"]),
        ],
        takes: &[
            PROMPT,
            (Column::Instruction, &["instruction", "instruction_generated", "instructions"]),
        ],
    },
];

/// Where records have the columns of both, the first form is meant: it says more.
pub(crate) const OUTRANKS: &[(RecordForm, RecordForm)] = &[
    (RecordForm::Unpaired, RecordForm::PromptCompletion),
    (RecordForm::Transcripts, RecordForm::Preference),
    (RecordForm::InstructionPreference, RecordForm::Preference),
    (RecordForm::InstructionPreference, RecordForm::Transcripts),
    (RecordForm::ConversationPreference, RecordForm::Preference),
    (RecordForm::ConversationPreference, RecordForm::Transcripts),
    (RecordForm::ConversationPreference, RecordForm::Messages),
    (RecordForm::ConversationPreference, RecordForm::ShareGpt),
    // A `text` beside other columns is the same record rendered, or its source.
    (RecordForm::Messages, RecordForm::Text),
    (RecordForm::ShareGpt, RecordForm::Text),
    (RecordForm::PromptCompletion, RecordForm::Text),
    (RecordForm::Unpaired, RecordForm::Text),
    (RecordForm::Preference, RecordForm::Text),
    (RecordForm::Transcripts, RecordForm::Text),
    (RecordForm::Instruction, RecordForm::Text),
    (RecordForm::QuestionAnswer, RecordForm::Text),
    (RecordForm::InstructionPreference, RecordForm::Text),
    (RecordForm::ConversationPreference, RecordForm::Text),
    (RecordForm::AlignmentInstruction, RecordForm::Text),
];

impl RecordForm {
    /// The form in words.
    pub fn description(self) -> &'static str {
        match self {
            Self::Text => "plain texts",
            Self::Messages => "conversations (role, content)",
            Self::ShareGpt => "ShareGPT conversations (from, value)",
            Self::PromptCompletion => "prompts with completions",
            Self::Unpaired => "prompts with completions and a label",
            Self::Preference => "preferences",
            Self::Transcripts => "preferences as transcripts of Human and Assistant",
            Self::Instruction => "instructions with outputs (Alpaca)",
            Self::QuestionAnswer => "questions with answers",
            Self::InstructionPreference => "instructions with preferred and rejected answers",
            Self::ConversationPreference => "conversations with preferred and rejected answers",
            Self::AlignmentInstruction => {
                "alignment instructions with accepted and rejected answers"
            }
        }
    }
}
