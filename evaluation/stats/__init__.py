"""The arithmetic of scores: interquartile means, bootstrap intervals, comparisons, normalisation.

After Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice", NeurIPS 2021
(https://arxiv.org/abs/2108.13264), whose library `rliable` set the usage; the code here is our own.

Why not simply tasks by runs, as there: one policy is tested on every split, so its scores on two splits are not
independent and must be resampled together. A *stratum* here is a table of runs by cells; runs are drawn within their
stratum, each with all its cells. One stratum of one cell per task is the original's stratified bootstrap.
"""
