"""Mathematics that learners share: rays, attention, convolutions, recurrent cores, image measures."""
