//! First-order optimization of a few numbers.

/// Adam (Kingma & Ba 2015) with its published constants.
pub(super) struct Adam {
    learning_rate: f64,
    first: Vec<f64>,
    second: Vec<f64>,
    /// `β₁ᵗ` and `β₂ᵗ`.
    decay: (f64, f64),
}

impl Adam {
    const BETA: (f64, f64) = (0.9, 0.999);
    const EPSILON: f64 = 1e-8;

    pub(super) fn new(size: usize, learning_rate: f64) -> Self {
        Self { learning_rate, first: vec![0.0; size], second: vec![0.0; size], decay: (1.0, 1.0) }
    }

    /// One step against the gradient.
    pub(super) fn step(&mut self, values: &mut [f64], gradient: &[f64]) {
        let (b1, b2) = Self::BETA;
        self.decay = (self.decay.0 * b1, self.decay.1 * b2);
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((value, gradient), (first, second)) in values.iter_mut().zip(gradient).zip(moments) {
            *first = b1 * *first + (1.0 - b1) * gradient;
            *second = b2 * *second + (1.0 - b2) * gradient * gradient;
            let mean = *first / (1.0 - self.decay.0);
            let spread = (*second / (1.0 - self.decay.1)).sqrt();
            *value -= self.learning_rate * mean / (spread + Self::EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_steps_of_a_constant_gradient_have_the_learning_rate_as_length() {
        let mut adam = Adam::new(2, 0.1);
        let mut values = [1.0, 1.0];
        for step in 1..=3 {
            adam.step(&mut values, &[1e3, -1e-3]);
            let moved = 0.1 * f64::from(step);
            assert!((values[0] - (1.0 - moved)).abs() < 1e-5);
            assert!((values[1] - (1.0 + moved)).abs() < 1e-5);
        }
    }
}
