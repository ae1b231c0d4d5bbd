"""The three theorems of the paper as programs: constructions, certificates and their parts.

Theorem 1  `to_unitary`, `network_around`, `best_scaling`, `fewest_states_scaling`,
           `nearest_contraction`, `zonotope_limits`, `to_unitary_torch`, `convert_network`
Theorem 2  `bounded_witness`, `scaled_identity_witness`; bounds on real URNNs: (A) `two_step_bound`,
           (B) `eigenvalue_bound`, (C') `realization_bound`, `growing_input_bound`,
           `steady_realization_bound`, (D) `weight_budget_bound`, (E) `steady_state_bound`;
           `cascade_unitary`, `fixed_scale_distance`, `linear_unitary`
Theorem 3  `scalar_witness`, `exact_horizon`, `no_unitary_equivalent`, `saturated_pair`,
           `exact_errors_against_bias`, `centred_chain`, `delay_chain`, `saturated_unitary`

Changes of the parameters that keep the map are in `urnn.equivalence.invariance`. The statements and
their proofs are in docs/theorems.md. Each docstring gives the status of its statement: proved,
conditional, measured or open. The numbers behind the figures are in `urnn.theorems`.
"""

from typing import TYPE_CHECKING, Any

from urnn.equivalence.cascade import (
    all_pass_cascade,
    cascade_unitary,
    fixed_scale_distance,
    jacobian_errors,
    weight_budget,
    weight_budget_bound,
)
from urnn.equivalence.conversion import network_around, to_unitary
from urnn.equivalence.delay_chain import delay_chain
from urnn.equivalence.dilation import (
    completion,
    completion_around,
    defect_rank,
    nonnegative_factor,
)
from urnn.equivalence.fewest_states import fewest_states_scaling, generic_defect
from urnn.equivalence.horizon import Exclusion, exact_horizon, no_unitary_equivalent
from urnn.equivalence.invariance import (
    direct_sum,
    homogeneity,
    permutation,
    positive_scaling,
    restart,
    sign_flips,
    similarity,
    state_splitting,
)
from urnn.equivalence.linear_regime import linear_unitary
from urnn.equivalence.minimality import (
    LowerBound,
    activation_patterns,
    bounded_witness,
    eigenvalue_bound,
    scaled_identity_witness,
    two_step_bound,
    two_step_jacobians,
)
from urnn.equivalence.nearest_network import Deviation, random_inputs
from urnn.equivalence.network_conversion import Conversion, convert_network
from urnn.equivalence.projection import (
    Projection,
    nearest_contraction,
    projection_error_bound,
)
from urnn.equivalence.realization import (
    RealizationBound,
    growing_input_bound,
    realization_bound,
    steady_realization_bound,
)
from urnn.equivalence.saturation import saturated_unitary, saturation_error_bound
from urnn.equivalence.scaling import DiagonalScaling, best_scaling, dual_lower_bound
from urnn.equivalence.sigmoid import (
    ERROR_SLOPE,
    centred_chain,
    errors_against_bias,
    exact_errors_against_bias,
    logarithmic_slope,
    saturated_pair,
    scalar_witness,
)
from urnn.equivalence.state_bounds import entrywise_state_bound, state_norm_bound
from urnn.equivalence.steady_state import steady_state_bound
from urnn.equivalence.torch_rnn import from_torch, to_torch, to_unitary_torch
from urnn.equivalence.zonotope import zonotope_limits
from urnn.matrices import slowly_varying_transition, unitarity_error

if TYPE_CHECKING:
    from urnn.equivalence.torch_module import UnitaryTorchRNN


def __getattr__(name: str) -> Any:
    """`UnitaryTorchRNN`, which needs torch: imported when it is asked for."""
    if name == "UnitaryTorchRNN":
        from urnn.equivalence.torch_module import UnitaryTorchRNN

        return UnitaryTorchRNN
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "ERROR_SLOPE",
    "Conversion",
    "Deviation",
    "DiagonalScaling",
    "Exclusion",
    "LowerBound",
    "Projection",
    "RealizationBound",
    "UnitaryTorchRNN",
    "activation_patterns",
    "all_pass_cascade",
    "best_scaling",
    "bounded_witness",
    "cascade_unitary",
    "centred_chain",
    "completion",
    "completion_around",
    "convert_network",
    "defect_rank",
    "delay_chain",
    "direct_sum",
    "dual_lower_bound",
    "eigenvalue_bound",
    "entrywise_state_bound",
    "errors_against_bias",
    "exact_errors_against_bias",
    "exact_horizon",
    "fewest_states_scaling",
    "fixed_scale_distance",
    "from_torch",
    "generic_defect",
    "growing_input_bound",
    "homogeneity",
    "jacobian_errors",
    "linear_unitary",
    "logarithmic_slope",
    "nearest_contraction",
    "network_around",
    "no_unitary_equivalent",
    "nonnegative_factor",
    "permutation",
    "positive_scaling",
    "projection_error_bound",
    "random_inputs",
    "realization_bound",
    "restart",
    "saturated_pair",
    "saturated_unitary",
    "saturation_error_bound",
    "scalar_witness",
    "scaled_identity_witness",
    "sign_flips",
    "similarity",
    "slowly_varying_transition",
    "state_norm_bound",
    "state_splitting",
    "steady_realization_bound",
    "steady_state_bound",
    "to_torch",
    "to_unitary",
    "to_unitary_torch",
    "two_step_bound",
    "two_step_jacobians",
    "unitarity_error",
    "weight_budget",
    "weight_budget_bound",
    "zonotope_limits",
]
