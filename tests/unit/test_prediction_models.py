"""The models against published estimates and point values, closed forms, and the limits where those overflow."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy")

from scipy import integrate, special

from rfm_spark.steps.prediction import gamma_gamma, orders
from rfm_spark.steps.prediction.model import Statistics

DATA = Path(__file__).parents[1] / "data"
CDNOW = np.genfromtxt(DATA / "cdnow_predictions_expected.csv.gz", delimiter=",", names=True, dtype=None, encoding=None)
RETAIL = np.genfromtxt(DATA / "online_retail_statistics.csv.gz", delimiter=",", names=True, dtype=None, encoding=None)
PYMC = json.loads((DATA / "pymc_marketing_25_customers.json").read_text())
OF_PYMC = {"bgnbd": "bg_nbd", "mbgnbd": "mbg_nbd", "pnbd": "pareto_nbd"}
# CLVTools, BTYD and BTYDplus; log-likelihood, and the total of 39 weeks against 1,882 that came
PUBLISHED = {
    "bg_nbd": ((0.2425945, 4.4136019, 0.7929199, 2.4258881), -9582.429, 1653),
    "mbg_nbd": ((0.525, 6.183, 0.891, 1.614), -9582.1357, 1577),
    "pareto_nbd": ((0.55327708, 10.57768405, 0.60623992, 11.66873241), -9594.976, 1666),
    "nbd": ((0.38476612, 12.07202259), -9763.657615, None),
}
ERRORS = {
    "bg_nbd": (0.012557, 0.378221, 0.185719, 0.705345),
    "pareto_nbd": (0.0476264, 0.8427222, 0.1872594, 6.2105448),
}


def weeks(rows) -> Statistics:
    return Statistics.of(rows["x"], rows["t_x_days"] / 7, rows["T_days"] / 7)


@pytest.fixture(scope="module")
def fits():
    """Every model of CDNOW's calibration weeks."""
    statistics = weeks(CDNOW)
    baseline = orders.fit(orders.MODELS["nbd"], statistics)
    others = {name: orders.fit(orders.MODELS[name], statistics, baseline) for name in PUBLISHED if name != "nbd"}
    return {"nbd": baseline, **others}


@pytest.fixture(scope="module")
def values():
    """Gamma-Gamma of those who came again."""
    again = CDNOW[CDNOW["x"] > 0]
    return gamma_gamma.fit(gamma_gamma.Spends.of(again["x"], again["m_x"]))


@pytest.mark.parametrize("name", PUBLISHED)
def test_estimates_are_the_published_ones(fits, name):
    expected, log_likelihood, total = PUBLISHED[name]
    found = fits[name]
    assert found.identified, found.problems
    assert found.values == pytest.approx(expected, abs=1e-3)
    assert found.log_likelihood == pytest.approx(log_likelihood, abs=1e-3)
    if name in ERRORS:
        assert found.standard_errors == pytest.approx(ERRORS[name], rel=2e-3)
    if total is not None:
        s, model = weeks(CDNOW), orders.MODELS[name]
        assert model.expected_orders(found.values, s.x, s.t_x, s.T, 39.0).sum() == pytest.approx(total, abs=0.5)
        assert CDNOW["holdout"].sum() == 1882


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd", "pareto_nbd"])
def test_every_customer_of_cdnow(fits, name):
    s, model, at = weeks(CDNOW), orders.MODELS[name], fits[name].values
    assert model.p_alive(at, s.x, s.t_x, s.T) == pytest.approx(CDNOW[f"p_alive_{name}"], abs=1e-6)
    assert model.expected_orders(at, s.x, s.t_x, s.T, 39.0) == pytest.approx(CDNOW[f"ce_{name}"], abs=5e-6)


def test_gamma_gamma_is_the_published_one(values):
    assert values.identified
    assert values.customers == 946
    assert values.values == pytest.approx((6.24957, 3.74422, 15.44352), abs=1e-3)
    assert values.log_likelihood == pytest.approx(-4055.9177, abs=1e-3)
    assert gamma_gamma.population_mean((6.25, 3.74, 15.44)) == pytest.approx(35.22, abs=0.01)
    means = gamma_gamma.conditional_mean((6.25, 3.74, 15.44), CDNOW["x"], CDNOW["m_x"])
    first_ten = [24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17]
    assert means[:10] == pytest.approx(first_ten, abs=0.1)
    assert gamma_gamma.conditional_mean(values.values, CDNOW["x"], CDNOW["m_x"]) == pytest.approx(
        CDNOW["gg_e_m"], abs=1e-4
    )


@pytest.mark.parametrize("unit", [1e-4, 1e5])
def test_gamma_gamma_in_any_currency(values, unit):
    """The same customers in dong or in bitcoin: v is money, the rest is not."""
    again = CDNOW[CDNOW["x"] > 0]
    found = gamma_gamma.fit(gamma_gamma.Spends.of(again["x"], again["m_x"] * unit))
    assert found.identified, found.problems
    scale = np.array([1, 1, unit])
    assert found.values == pytest.approx(values.values * scale, rel=1e-6)
    assert found.standard_errors == pytest.approx(values.standard_errors * scale, rel=1e-5)
    assert found.log_likelihood == pytest.approx(values.log_likelihood - 946 * np.log(unit), abs=1e-6)


@pytest.mark.parametrize("name", OF_PYMC)
def test_the_arithmetic_of_25_customers(name):
    theirs, model = PYMC[name], orders.MODELS[OF_PYMC[name]]
    at = [theirs["params"][parameter] for parameter in model.parameters]
    s = Statistics.of(PYMC["x"], PYMC["t_x"], PYMC["T"])
    assert model.p_alive(at, s.x, s.t_x, s.T) == pytest.approx(theirs["expected_probability_alive"], abs=1e-6)
    for t, expected in theirs["expected_purchases"].items():
        assert model.expected_orders(at, s.x, s.t_x, s.T, float(t)) == pytest.approx(expected, abs=1e-6)
    for t, one in theirs["expected_purchases_new_customer"].items():
        assert model.expected_new(at, float(t)) == pytest.approx(one, abs=1e-6)


def test_point_values_of_bg_nbd():
    model, at = orders.MODELS["bg_nbd"], (0.2425967, 4.413659, 0.7929869, 2.426164)
    assert model.expected_new(at, 52.0) == pytest.approx(1.444004, abs=2e-6)
    one = Statistics.of([26], [30.85714], [31])
    assert model.expected_orders(at, one.x, one.t_x, one.T, 52.0)[0] == pytest.approx(25.75659, abs=1e-4)
    assert model.p_alive(at, one.x, one.t_x, one.T)[0] == pytest.approx(0.9688523, abs=1e-6)
    late = Statistics.of([10, 15, 20, 25], [20] * 4, [39] * 4)
    found = model.expected_orders(at, late.x, late.t_x, late.T, 52.0)
    assert found == pytest.approx([0.3474606, 0.04283391, 0.004158973, 0.0003583685], rel=1e-5)
    lifetimes = [model.expected_new(PUBLISHED["bg_nbd"][0], t) for t in (0.1429, 1.0, 3.0, 31.8571, 32.0, 78.0)]
    assert lifetimes == pytest.approx([0.0078, 0.0532, 0.1506, 1.0405, 1.0437, 1.8576], abs=1e-3)
    note, t = (0.25, 4.0, 0.8, 2.5), np.array([40.0, 40.0])
    likelihoods = model.log_likelihood(note, np.array([0.0, 200.0]), np.array([0.0, 38.0]), t)
    assert likelihoods == pytest.approx([-0.59947382, 100.7957], abs=1e-3)


def test_the_distribution_of_a_newcomers_orders():
    """lifetimes' P(X(t) = n): somebody of whom nothing is known yet has x = t_x = T = 0."""
    model, at, new = orders.MODELS["bg_nbd"], (0.243, 4.414, 0.793, 2.426), np.zeros(1)

    def exactly(n: float, t: float) -> float:
        or_more = [model.at_least(at, new, new, new, t, np.array([k]))[0] if k else 1.0 for k in (n, n + 1)]
        return float(or_more[0] - or_more[1])

    assert exactly(0.0, 39.0) == pytest.approx(0.5737864, abs=1e-7)
    assert exactly(10.0, 2.0) == pytest.approx(1.07869e-07, rel=1e-5)
    assert exactly(11.0, 30.0) == pytest.approx(0.0019995214, rel=1e-6)


def test_point_values_of_pareto_nbd():
    model, at = orders.MODELS["pareto_nbd"], (0.5534, 10.5802, 0.6061, 11.6562)
    assert model.expected_new(at, 52.0) == pytest.approx(1.473434, rel=1e-3)
    one = Statistics.of([26], [30.85714], [31])
    assert model.expected_orders(at, one.x, one.t_x, one.T, 52.0)[0] == pytest.approx(25.45647, rel=1e-3)
    assert model.p_alive(at, one.x, one.t_x, one.T)[0] == pytest.approx(0.997874, rel=1e-3)
    late = Statistics.of([10, 15, 20, 25], [20] * 4, [39] * 4)
    found = model.expected_orders(at, late.x, late.t_x, late.T, 52.0)
    assert found == pytest.approx([0.7062289, 0.1442396, 0.02250658, 0.00309267], rel=1e-3)


def test_clv_by_months_at_a_discount():
    """lifetimes' ten customers, of real months: 4.345 weeks, not 30."""
    s = Statistics.of(CDNOW["x"][:10], CDNOW["t_x_days"][:10] / 7, CDNOW["T_days"][:10] / 7)
    value = gamma_gamma.conditional_mean((6.25, 3.74, 15.44), CDNOW["x"][:10], CDNOW["m_x"][:10])
    at = (0.242593, 4.413532, 0.792886, 2.425752)
    found = value * orders.discounted(orders.MODELS["bg_nbd"], at, s, 12 * 4.345, 4.345, 0.01)
    expected = [36.2785, 4.6375, 8.3441, 8.3441, 8.3441, 283.5236, 6.8814, 8.3441, 43.3536, 8.3441]
    assert found == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd", "pareto_nbd", "nbd"])
def test_the_chances_of_n_orders_fit_together(name):
    """None is what no order is, and their sum is what is expected."""
    model, at = orders.MODELS[name], PUBLISHED[name][0]
    s = Statistics.of([0, 1, 3, 26], [0, 5, 30, 30.857], [38, 38, 38, 31])
    chances = [model.at_least(at, s.x, s.t_x, s.T, 39.0, np.full(4, float(n))) for n in range(1, 400)]
    assert 1 - chances[0] == pytest.approx(model.p_no_purchase(at, s.x, s.t_x, s.T, 39.0), abs=1e-4)
    assert sum(chances) == pytest.approx(model.expected_orders(at, s.x, s.t_x, s.T, 39.0), rel=2e-3)
    high = orders.quantile(model, at, s, 39.0, 0.95)
    for row, n in enumerate(high.astype(int)):
        assert chances[n][row] <= 0.05
        assert n == 0 or chances[n - 1][row] > 0.05


def test_the_integrals_are_the_closed_forms():
    """Where the hypergeometric functions of the papers can be computed, they give the same."""
    r, alpha, a, b = 0.2426, 4.4136, 0.7929, 2.4259
    x, t_x, T, t = 3.0, 20.0, 38.0, 39.0
    closed = special.hyp2f1(r + x, b + x, a + b + x - 1, t / (alpha + T + t))
    closed = (a + b + x - 1) / (a - 1) * (1 - ((alpha + T) / (alpha + T + t)) ** (r + x) * closed)
    model, row = orders.MODELS["bg_nbd"], Statistics.of([x], [t_x], [T])
    found = model.expected_orders((r, alpha, a, b), row.x, row.t_x, row.T, t)
    assert found == pytest.approx(closed * model.p_alive((r, alpha, a, b), row.x, row.t_x, row.T), rel=1e-9)
    r, alpha, s, beta = 0.5533, 10.578, 0.6062, 11.669
    died, _ = integrate.quad(lambda u: (alpha + u) ** -(r + x) * (beta + u) ** -(s + 1), t_x, T, epsabs=0)
    lives = (alpha + T) ** -(r + x) * (beta + T) ** -s
    model = orders.MODELS["pareto_nbd"]
    assert model.p_alive((r, alpha, s, beta), row.x, row.t_x, row.T) == pytest.approx(
        lives / (lives + s * died), rel=1e-10
    )


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd", "pareto_nbd", "nbd"])
def test_gradients_are_those_of_the_likelihood(name):
    model, at, s = orders.MODELS[name], np.array(PUBLISHED[name][0]), weeks(CDNOW)
    for i, by in enumerate(model.gradient(at, s.x, s.t_x, s.T)):
        step = np.eye(len(at))[i] * 1e-6 * at[i]
        up, down = (model.log_likelihood(at + sign * step, s.x, s.t_x, s.T) for sign in (1, -1))
        assert by == pytest.approx((up - down) / (2e-6 * at[i]), abs=1e-5)


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd", "pareto_nbd", "nbd"])
@pytest.mark.parametrize("a", [None, 1.0, 1e-5, 1e4])
def test_nothing_overflows(name, a):
    """Many orders, a hundred years, parameters at their bounds and where a closed form divides by 0."""
    model, at = orders.MODELS[name], list(PUBLISHED[name][0])
    if a is not None and len(at) == 4:
        at[2] = a
    century = 36525 / 7
    x = [1000, 1000, 1000, 0, 0, 1, 26, 221, 254, 161, 204, 10_000]
    t_x = [10, 99, century, 0, 0, 0.2, 30.9, 103.42857, 97.14286, 94.71429, 98.57143, 5000]
    T = [100, 100, century, 0, century, century, 31, 103.57143, 97.28571, 98, 99.42857, century]
    s = Statistics.of(x, t_x, T)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        alive = model.p_alive(at, s.x, s.t_x, s.T)
        likelihood = model.log_likelihood(at, s.x, s.t_x, s.T)
        none = model.p_no_purchase(at, s.x, s.t_x, s.T, 39.0)
        expected = model.expected_orders(at, s.x, s.t_x, s.T, 39.0)
    assert np.isfinite(likelihood).all()
    for chance in (alive, none):
        assert ((chance >= -1e-12) & (chance <= 1 + 1e-12)).all()
    assert np.isfinite(expected).all()
    assert (expected >= 0).all()
    if name == "bg_nbd":
        assert alive[3:5].tolist() == [1, 1]
        assert a is not None or alive[0] == pytest.approx(0, abs=1e-300)


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd", "pareto_nbd"])
def test_dropout_is_not_identified_on_a_year_of_online_retail(name):
    """Its likelihood is the NBD's, and that is what is said."""
    s = weeks(RETAIL)
    rows, counts = np.unique(np.stack([s.x, s.t_x, s.T]), axis=1, return_counts=True)
    statistics = Statistics.of(*rows, counts)
    baseline = orders.fit(orders.MODELS["nbd"], statistics)
    assert baseline.identified
    assert baseline.values == pytest.approx((0.722644, 9.424542), abs=1e-4)
    assert baseline.log_likelihood == pytest.approx(-21755.348, abs=1e-3)
    found = orders.fit(orders.MODELS[name], statistics, baseline)
    assert not found.identified
    assert "dropout is not identified" in found.problems[0]
    assert found.log_likelihood == pytest.approx(baseline.log_likelihood, abs=1e-2)
    model = orders.MODELS[name]
    total = model.expected_orders(found.values, s.x, s.t_x, s.T, 100 / 7).sum()
    assert total == pytest.approx(3633.4, abs=2)


def test_compressed_customers_give_the_same_fit(fits):
    """The likelihood knows customers by their x, t_x and T alone."""
    s = weeks(CDNOW)
    rows, counts = np.unique(np.stack([s.x, s.t_x, s.T]), axis=1, return_counts=True)
    found = orders.fit(orders.MODELS["bg_nbd"], Statistics.of(*rows, counts), fits["nbd"])
    assert len(counts) < s.size == counts.sum()
    assert found.values == pytest.approx(fits["bg_nbd"].values, rel=1e-5)
