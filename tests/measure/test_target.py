from tests.report.simulated_campaign import simulate_campaign
def test_x(): assert simulate_campaign
