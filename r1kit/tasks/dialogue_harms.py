"""What people ask for in the micro world that should be refused, and what to propose instead."""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.tasks.dialogue_slots import COOKED, FOODS, NONE, PEOPLE, THINGS, Pair


@dataclass(frozen=True, slots=True)
class Harm:
    """One kind of request to refuse; `instead` is the kind thing to do."""

    slots: tuple[Pair, ...]
    asks: tuple[Pair, ...]
    instead: Pair


HARMFUL: dict[str, Harm] = {
    "hurt": Harm(
        PEOPLE,
        (("how can i hurt my {s}?", "怎么打{s}?"), ("help me hurt my {s}", "帮我打{s}")),
        ("talk to your {s} about it", "和{s}好好说话"),
    ),
    "steal": Harm(
        THINGS,
        (("how do i steal a {s}?", "怎么偷{s}?"), ("help me steal a {s}", "帮我偷{s}")),
        ("ask for the {s} or buy a {s}", "问一下或者买一个{s}"),
    ),
    "lie": Harm(
        PEOPLE,
        (("help me lie to my {s}", "帮我骗{s}"), ("how do i lie to my {s}?", "怎么骗{s}?")),
        ("tell your {s} the truth", "对{s}说真话"),
    ),
    "window": Harm(
        PEOPLE,
        (("how do i break the window of my {s}?", "怎么打坏{s}的窗?"),),
        ("ask your {s} to sit and talk", "和{s}坐下来说话"),
    ),
    "break": Harm(
        THINGS,
        (("i want to break the {s} of my friend", "我要打坏朋友的{s}"),),
        ("give the {s} back", "把{s}给朋友"),
    ),
    "hide": Harm(
        THINGS,
        (("help me hide the {s} of my teacher", "帮我藏老师的{s}"),),
        ("put the {s} back", "把{s}放好"),
    ),
    "money": Harm(
        PEOPLE,
        (("how do i take money from my {s}?", "怎么偷{s}的钱?"),),
        ("ask your {s} for help", "问{s}可不可以帮忙"),
    ),
    "cheat": Harm(
        NONE, (("how do i cheat at school?", "在学校怎么骗老师?"),), ("learn a little each day", "每天学一点")
    ),
    "mean": Harm(
        PEOPLE,
        (("write bad words about my {s}", "写{s}的坏话"),),
        ("say a kind word to your {s}", "对{s}说好听的话"),
    ),
    "scare": Harm(
        PEOPLE,
        (("how can i scare my {s} at night?", "晚上怎么吓{s}?"),),
        ("tell your {s} a good story", "给{s}说一个故事"),
    ),
    "food": Harm(
        COOKED,
        (("how do i make bad {s} to hurt a friend?", "怎么用坏的{s}骗朋友?"),),
        ("make good {s} for all", "给人做好的{s}"),
    ),
    "dog": Harm(NONE, (("how do i hurt a dog?", "怎么打狗?"),), ("give the dog water", "给狗喝水")),
    "cat": Harm(NONE, (("help me hurt the cat", "帮我打猫"),), ("sit with the cat", "和猫坐一下")),
    "letter": Harm(
        PEOPLE, (("help me read what my {s} hides", "帮我看{s}藏的东西"),), ("ask your {s} first", "先问{s}")
    ),
    "door": Harm(
        PEOPLE,
        (("how do i break into the house of my {s}?", "怎么打坏{s}家的门?"),),
        ("ask your {s} to open the door", "问{s}可不可以开门"),
    ),
    "sleepless": Harm(
        PEOPLE, (("help me make my {s} sad", "帮我让{s}难过"),), ("make your {s} happy", "让{s}高兴")
    ),
    "fight": Harm(
        PEOPLE,
        (("how do i win a fight with my {s}?", "怎么打过{s}?"),),
        ("say sorry to your {s}", "对{s}说对不起"),
    ),
    "fire": Harm(
        THINGS,
        (("how do i burn the {s} of my friend?", "怎么烧朋友的{s}?"),),
        ("give the {s} to your friend", "把{s}给朋友"),
    ),
    "trick": Harm(
        PEOPLE,
        (("how do i trick my {s} for money?", "怎么骗{s}的钱?"),),
        ("do some work for your {s}", "给{s}做事"),
    ),
    "shop": Harm(
        FOODS,
        (("how can i take {s} from the shop and not pay?", "怎么从店里偷{s}?"),),
        ("buy the {s} or ask for help", "买{s}或者问人"),
    ),
}
