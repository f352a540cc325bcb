//! Bytes from anywhere, read as a state file: an error, or a state that can be used and that
//! gives the same bytes whenever it is written.

#![no_main]

use collimate_aqi::State;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(state) = State::from_bytes(bytes) else {
        return;
    };
    let written = state.to_bytes().expect("what was read can be written");
    let again = State::from_bytes(&written).expect("what was written can be read");
    assert_eq!(again, state);
    let mut merged = state.clone();
    merged.merge(&state).expect("a state fits itself");
    for moments in [&state.moments, &merged.moments] {
        let Ok(dispersion) = moments.dispersion() else {
            continue;
        };
        assert!(!dispersion.xie_beni().is_nan());
        for value in
            [dispersion.calinski_harabasz(), dispersion.rho_global(), dispersion.rho_local()]
                .into_iter()
                .flatten()
        {
            assert!(!value.is_nan());
        }
    }
});
