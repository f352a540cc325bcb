use std::str::FromStr;
use std::sync::Arc;

use super::error::{RecipeError, Result};
use super::format::yaml;
use super::node::{Content, Field, Node, Origin};

/// A value that takes the place of a file's: `training.epochs=1`.
///
/// The path are the names of fields of a recipe with dots between them, in lists the number of a place,
/// counted from 0; the value is YAML.
///
/// ```
/// use collimate_pipeline::{Override, Recipe};
///
/// let overrides = ["training.epochs=1", "method.targets=[q_proj, v_proj]"];
/// let overrides: Vec<Override> = overrides.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
/// let recipe = Recipe::default().with_overrides(&overrides)?;
/// assert_eq!(recipe.training.epochs, 1.0);
/// assert!("training.epochs".parse::<Override>().is_err());
/// # Ok::<(), collimate_pipeline::RecipeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Override {
    text: Arc<str>,
    path: Vec<String>,
    value: Node,
}

impl FromStr for Override {
    type Err = RecipeError;

    /// # Errors
    ///
    /// [`RecipeError::Override`]: there is no `=`, a name is empty, or the value is not YAML.
    fn from_str(text: &str) -> Result<Self> {
        let failed = |message: String| RecipeError::Override { text: text.to_owned(), message };
        let Some((path, value)) = text.split_once('=') else {
            return Err(failed("there is no `=`; write it as in training.epochs=1".to_owned()));
        };
        let path: Vec<String> = path.split('.').map(|name| name.trim().to_owned()).collect();
        if path.iter().any(String::is_empty) {
            return Err(failed("a name is empty; write it as in training.epochs=1".to_owned()));
        }
        if path.len() > MOST_NAMES {
            return Err(failed(format!("there are more than {MOST_NAMES} names")));
        }
        let mut value = yaml(value).map_err(|broken| failed(broken.message))?;
        let text: Arc<str> = text.into();
        set_origin(&mut value, &Origin::Override(text.clone()));
        Ok(Self { text, path, value })
    }
}

/// No field lies deeper.
const MOST_NAMES: usize = 8;

impl Override {
    /// A value that is taken as it is, not as YAML: a path or a name.
    ///
    /// ```
    /// use collimate_pipeline::{Override, Recipe};
    ///
    /// let recipe = Recipe::default().with_overrides(&[Override::text("output.name", "1.0")?])?;
    /// assert_eq!(recipe.output.name.as_deref(), Some("1.0"));
    /// # Ok::<(), collimate_pipeline::RecipeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RecipeError::Override`]: a name of the path is empty.
    pub fn text(path: &str, value: &str) -> Result<Self> {
        let mut this: Self = format!("{path}=").parse()?;
        this.text = format!("{path}={value}").into();
        let origin = Origin::Override(this.text.clone());
        this.value = Node::new(origin, Content::Text(value.to_owned()));
        Ok(this)
    }

    pub(super) fn apply(&self, root: &mut Node) -> Result<()> {
        let origin = Origin::Override(self.text.clone());
        let failed = |message: String| {
            Err(RecipeError::Override { text: self.text.as_ref().to_owned(), message })
        };
        let mut at = root;
        for (depth, name) in self.path.iter().enumerate() {
            let way = self.path.get(..depth).unwrap_or_default().join(".");
            let number = name.parse::<usize>().ok();
            if let Content::Null = at.content {
                at.origin = origin.clone();
                at.content = match number {
                    Some(_) => Content::List(Vec::new()),
                    None => Content::Fields(Vec::new()),
                };
            }
            let kind = at.kind();
            at = match (&mut at.content, number) {
                (Content::Fields(fields), _) => {
                    let known = fields.iter().position(|field| field.name == *name);
                    let index = known.unwrap_or(fields.len());
                    if known.is_none() {
                        fields.push(Field {
                            name: name.clone(),
                            origin: origin.clone(),
                            called: None,
                            value: Node::default(),
                        });
                    }
                    match fields.get_mut(index) {
                        Some(field) => {
                            field.origin = origin.clone();
                            field.called = None;
                            &mut field.value
                        }
                        None => return failed(format!("there is no `{name}`")),
                    }
                }
                (Content::List(nodes), Some(index)) => {
                    let count = nodes.len();
                    if index == count {
                        nodes.push(Node::default());
                    }
                    match nodes.get_mut(index) {
                        Some(node) => node,
                        None => {
                            return failed(format!(
                                "`{way}` is a list of {count}, counted from 0; {index} would leave a gap"
                            ));
                        }
                    }
                }
                (Content::List(_), None) => {
                    return failed(format!("`{way}` is a list; `{name}` is no number of a place"));
                }
                _ => return failed(format!("`{way}` is {kind}, in which there is no `{name}`")),
            };
        }
        *at = self.value.clone();
        Ok(())
    }
}

fn set_origin(node: &mut Node, origin: &Origin) {
    node.origin = origin.clone();
    match &mut node.content {
        Content::List(nodes) => nodes.iter_mut().for_each(|node| set_origin(node, origin)),
        Content::Fields(fields) => fields.iter_mut().for_each(|field| {
            field.origin = origin.clone();
            set_origin(&mut field.value, origin);
        }),
        _ => {}
    }
}
