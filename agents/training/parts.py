"""Networks over observations that begin with parts which are alike: sprites of a state, slots of a code.

A network over the whole learns of each part anew where it is and what it asks for, and to pick one of several out is hard
for it. Here one network looks at every part in turn, together with what is left over (a goal, a pose), so that what is
learned of one holds for all, and the order of parts does not matter. A part whose numbers are all zero is not there.

SAC's actor attends to parts and does one thing. PPO's, of continuous actions, lets every part propose one, and draws one
of these by their weights: a single Gaussian that hesitates between two things does what lies between them.

Sources: sums over parts, Zaheer et al., "Deep Sets", 2017 (https://arxiv.org/abs/1703.06114); the choice of parts by
attention, Lee et al., "Set Transformer", 2019 (https://arxiv.org/abs/1810.00825), with one linear score per head.
"""

import torch
from gymnasium import spaces
from jaxtyping import Bool, Float
from stable_baselines3.common.distributions import DiagGaussianDistribution, Distribution
from stable_baselines3.common.policies import ActorCriticPolicy, ContinuousCritic
from stable_baselines3.common.torch_layers import create_mlp
from stable_baselines3.sac.policies import Actor, SACPolicy
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from scenes.kit import errors

HEADS = 4
"""Parts that an actor may pick out at a time."""


def check(parts: tuple[int, int], observation_space: spaces.Space) -> None:
    """Look whether an observation holds so many parts of so many numbers.

    Raises:
        errors.CaveError: it does not, or is more than one vector.
    """
    n, d = parts
    mixed = isinstance(observation_space, spaces.Dict)
    if mixed or observation_space.shape[0] < n * d:
        seen = "more than one vector" if mixed else f"{observation_space.shape[0]} numbers"
        raise errors.CaveError(
            f"--model.parts {n} {d}: the observation is {seen}, wanted at least {n * d}", errors.USAGE
        )


def check_options(agent: str, parts: tuple[int, int], hidden: tuple[int, ...]) -> None:
    """Look whether parts are two numbers of at least 1, or 0 0 for none, and have layers to be looked at with.

    Raises:
        errors.CaveError: they are not.
    """
    if any(parts) and min(parts) < 1:
        raise errors.CaveError(f"{agent}: parts are {parts}, wanted two numbers of at least 1, or 0 0", errors.USAGE)
    if any(parts) and not hidden:
        raise errors.CaveError(
            f"{agent}: parts want hidden layers, and there are none: give --model.hidden", errors.USAGE
        )


class Parts(nn.Module):
    """One network over each of `n` parts of `d` numbers, which are `size` numbers together with what is left over."""

    def __init__(self, parts: tuple[int, int], size: int, hidden: tuple[int, ...]):
        super().__init__()
        self.parts, self.rest = parts, size - parts[0] * parts[1]
        self.look = nn.Sequential(*create_mlp(parts[1] + self.rest, -1, list(hidden)))

    def split(
        self, x: Float[Tensor, "b size"]
    ) -> tuple[Float[Tensor, "b n d"], Float[Tensor, "b rest"], Float[Tensor, "b n w"], Bool[Tensor, "b n 1"]]:
        """The parts, what is left over, what the network makes of each, and whether it is there."""
        n, d = self.parts
        parts, rest = x[:, : n * d].reshape(-1, n, d), x[:, n * d :]
        seen = self.look(torch.cat([parts, rest[:, None].expand(-1, n, -1)], -1))
        return parts, rest, seen, (parts != 0).any(-1, keepdim=True)

    @staticmethod
    def mean(seen: Float[Tensor, "b n w"], there: Bool[Tensor, "b n 1"]) -> Float[Tensor, "b w"]:
        """Of what the network makes of the parts that are there."""
        return (seen * there).sum(1) / there.sum(1).clamp(min=1)


class Sum(Parts):
    """A number from the sum over all parts: a critic, to which the action is a part of what is left over; or, with `width` -1,
    the features that it would be made of."""

    def __init__(self, parts: tuple[int, int], size: int, hidden: tuple[int, ...], width: int = 1):
        super().__init__(parts, size, hidden)
        self.out = nn.Sequential(*create_mlp(hidden[-1], width, [hidden[-1]]))

    def forward(self, x: Float[Tensor, "b size"]) -> Float[Tensor, "b w"]:
        """The number, or features."""
        _, _, seen, there = self.split(x)
        return self.out((seen * there).sum(1))


class Choice(Parts):
    """Features of the parts that are attended to, of the mean of all, and of what is left over: the body of an actor."""

    def __init__(self, parts: tuple[int, int], size: int, hidden: tuple[int, ...]):
        super().__init__(parts, size, hidden)
        self.score = nn.Linear(hidden[-1], HEADS)
        self.out = nn.Sequential(*create_mlp(HEADS * parts[1] + hidden[-1] + self.rest, -1, list(hidden)))

    def forward(self, x: Float[Tensor, "b size"]) -> Float[Tensor, "b w"]:
        """The features."""
        parts, rest, seen, there = self.split(x)
        share = self.score(seen).masked_fill(~there, -1e9).softmax(1)
        chosen = torch.einsum("bnh,bnd->bhd", share, parts).flatten(1)
        return self.out(torch.cat([chosen, self.mean(seen, there), rest], 1))


class Layout:
    """What a policy over parts keeps before Stable-Baselines3 builds it.

    Args:
        parts: How many there are, and of how many numbers each.
        hidden: Widths of the layers.
        given: Those of the policy behind it.
    """

    def __init__(self, *given, parts: tuple[int, int], hidden: tuple[int, ...], **options):
        self.layout = tuple(parts), tuple(hidden)
        super().__init__(*given, net_arch=list(hidden), **options)


class PartsPolicy(Layout, SACPolicy):
    """SAC's policy and critics over parts."""

    def make_actor(self, features_extractor=None) -> Actor:
        """Stable-Baselines3's, with another body."""
        actor = super().make_actor(features_extractor)
        parts, hidden = self.layout
        actor.latent_pi = Choice(parts, actor.features_dim, hidden).to(self.device)
        return actor

    def make_critic(self, features_extractor=None) -> ContinuousCritic:
        """Stable-Baselines3's, with other networks."""
        critic = super().make_critic(features_extractor)
        parts, hidden = self.layout
        size = critic.q_networks[0][0].in_features
        for i in range(len(critic.q_networks)):
            critic.q_networks[i] = Sum(parts, size, hidden).to(self.device)
            setattr(critic, f"qf{i}", critic.q_networks[i])
        return critic


class Proposals(Parts):
    """What an actor makes its proposals of, one for every part: the body of an actor of continuous actions.

    Each part is seen together with the mean of all. What is returned of one is the weight of its proposal (a logarithm,
    but for a constant; -1e9 where the part is not there), its own numbers, and features: what is linear in the numbers, as
    to act where a part lies, is learned soonest.
    """

    def __init__(self, parts: tuple[int, int], size: int, hidden: tuple[int, ...]):
        super().__init__(parts, size, hidden)
        self.out = nn.Sequential(*create_mlp(2 * hidden[-1] + parts[1], -1, [hidden[-1]]))
        self.weight = nn.Linear(hidden[-1], 1)

    def forward(self, x: Float[Tensor, "b size"]) -> Float[Tensor, "b n f"]:
        """Weight, numbers and features of every part."""
        parts, _, seen, there = self.split(x)
        mean = self.mean(seen, there)[:, None]
        features = self.out(torch.cat([parts, seen, mean.expand_as(seen)], -1))
        return torch.cat([self.weight(features).masked_fill(~there, -1e9), parts, features], -1)


class Mixture(DiagGaussianDistribution):
    """Gaussians of one deviation, each with a weight: an actor that may do one of several things, and nothing in between
    (Bishop, "Mixture density networks", 1994)."""

    def proba_distribution(
        self, weight: Float[Tensor, "b n"], mean: Float[Tensor, "b n a"], log_std: Float[Tensor, " a"]
    ) -> "Mixture":
        """Take parameters: logarithms of the weights, means, and the logarithm of the deviation."""
        self.choice = Categorical(logits=weight)
        self.normal = Independent(Normal(mean, log_std.exp().expand_as(mean)), 1)
        self.distribution = MixtureSameFamily(self.choice, self.normal)
        return self

    def log_prob(self, actions: Float[Tensor, "b a"]) -> Float[Tensor, " b"]:
        """Logarithm of the density."""
        return self.distribution.log_prob(actions)

    def entropy(self) -> Float[Tensor, " b"]:
        """Of the choice and of what is chosen: an upper bound, reached where the Gaussians are far apart."""
        return self.choice.entropy() + self.normal.entropy()[:, 0]

    def sample(self) -> Float[Tensor, "b a"]:
        """One action of each."""
        return self.distribution.sample()

    def mode(self) -> Float[Tensor, "b a"]:
        """The mean of the Gaussian of most weight."""
        return self.normal.mean[torch.arange(len(self.choice.logits)), self.choice.logits.argmax(1)]


class Bodies(nn.Module):
    """The bodies of an actor and a critic over parts, in the place of Stable-Baselines3's `MlpExtractor`."""

    def __init__(self, parts: tuple[int, int], size: int, hidden: tuple[int, ...], proposes: bool):
        super().__init__()
        self.forward_actor = (Proposals if proposes else Choice)(parts, size, hidden)
        self.forward_critic = Sum(parts, size, hidden, -1)
        self.latent_dim_vf = hidden[-1]
        self.latent_dim_pi = hidden[-1] + proposes * parts[1]

    def forward(self, x: Float[Tensor, "b size"]) -> tuple[Float[Tensor, "b *n f"], Float[Tensor, "b w"]]:
        """Features of both."""
        return self.forward_actor(x), self.forward_critic(x)


class PartsActorCritic(Layout, ActorCriticPolicy):
    """PPO's policy and critic over parts. Of continuous actions every part proposes one, and one of them is drawn."""

    def _build_mlp_extractor(self) -> None:
        parts, hidden = self.layout
        if proposes := isinstance(self.action_dist, DiagGaussianDistribution):
            self.action_dist = Mixture(self.action_dist.action_dim)
        self.mlp_extractor = Bodies(parts, self.features_dim, hidden, proposes).to(self.device)

    def _build(self, lr_schedule) -> None:
        super()._build(lr_schedule)
        if isinstance(self.action_dist, Mixture):
            # As small as the last layer of actions, so that no part is preferred at first.
            self.init_weights(self.mlp_extractor.forward_actor.weight, 0.01)

    def _get_action_dist_from_latent(self, latent_pi: Float[Tensor, "b *n f"]) -> Distribution:
        if not isinstance(self.action_dist, Mixture):
            return super()._get_action_dist_from_latent(latent_pi)
        return self.action_dist.proba_distribution(latent_pi[..., 0], self.action_net(latent_pi[..., 1:]), self.log_std)
