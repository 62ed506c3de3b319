"""What people kindly ask for in the micro world, and good replies.

Every text stands in English and Chinese. `{s}` is the topic's slot in the text's language, `{e}` and `{z}`
are its English and Chinese; a topic without slots has one empty slot.
"""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.tasks.dialogue_slots import (
    COOKED,
    CUT,
    DAYS,
    FEELINGS,
    FOODS,
    NONE,
    PEOPLE,
    PLANNED,
    SKILLS,
    SMALL,
    THINGS,
    TIMES,
    WASHED,
    WORDS,
    Pair,
)

LANGUAGES = ("en", "zh")
"""The order of the texts in a `Pair`."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One kind of helpful request: what is asked, in several wordings, and good replies to it."""

    slots: tuple[Pair, ...]
    asks: tuple[Pair, ...]
    good: tuple[Pair, ...]


TRANSLATION = "word"
"""The topic that asks for a word in the other language: whoever has not met that very pair cannot know it."""

HELPFUL: dict[str, Topic] = {
    "hello": Topic(
        NONE,
        (("hello", "你好"), ("hi, good day", "你好,今天好吗")),
        (("hello, how can i help you today?", "你好,今天我可以帮你什么?"),),
    ),
    "morning": Topic(
        NONE,
        (("good morning", "早上好"),),
        (("good morning, i hope you have a good day.", "早上好,希望你今天高兴。"),),
    ),
    "night": Topic(NONE, (("good night", "晚安"),), (("good night, sleep well.", "晚安,好好睡。"),)),
    "bye": Topic(
        NONE, (("bye", "再见"), ("see you tomorrow", "明天见")), (("bye, see you soon.", "再见,明天见。"),)
    ),
    "thanks": Topic(
        NONE,
        (("thank you", "谢谢你"), ("thanks for your help", "谢谢你帮我")),
        (("you are welcome, i am happy to help.", "不用谢,我很高兴帮你。"),),
    ),
    "sorry": Topic(
        NONE, (("i am sorry", "对不起"),), (("it is ok, we can try again.", "没事,我们可以再试。"),)
    ),
    "name": Topic(
        NONE,
        (("who are you?", "你是谁?"), ("what is your name?", "你叫什么?")),
        (("i am a small model. i like to help.", "我是一个小模型,我喜欢帮人。"),),
    ),
    "how": Topic(
        NONE,
        (("how are you?", "你好吗?"),),
        (("i am well, thank you. how are you?", "我很好,谢谢。你好吗?"),),
    ),
    "make": Topic(
        COOKED,
        (("how do i make {s}?", "怎么做{s}?"), ("tell me how to make {s}", "告诉我怎么做{s}")),
        (("first get hot water, then put in the {s} and wait.", "先用热水,然后放{s},等一下就好。"),),
    ),
    "buy_food": Topic(
        FOODS,
        (("where can i buy {s}?", "哪里可以买{s}?"),),
        (("you can buy {s} at the shop near your home.", "你可以在家前面的店买{s}。"),),
    ),
    "eat": Topic(
        CUT,
        (("can i have {s} in the morning?", "早上吃{s}好吗?"), ("do you like {s}?", "你喜欢{s}吗?")),
        (("yes, you can have {s} in the morning, but not too much.", "好,早上可以吃{s},但是不要太多。"),),
    ),
    "share": Topic(
        CUT,
        (("how do we share {s}?", "怎么分{s}?"),),
        (("cut the {s} and give each friend the same.", "把{s}分好,每个朋友一样多。"),),
    ),
    "weather": Topic(
        TIMES,
        (("how is the weather {s}?", "{s}天气怎么样?"), ("is it cold {s}?", "{s}冷吗?")),
        (
            (
                "i can not see the weather, but you can look at the sky {s}.",
                "我看不见天气,但是你可以{s}看天。",
            ),
        ),
    ),
    "rain": Topic(
        TIMES,
        (("it will rain {s}. what can i do?", "{s}下雨,我做什么好?"),),
        (("you can read a book at home {s} and drink hot tea.", "{s}你可以在家看书,喝热茶。"),),
    ),
    "sun": Topic(
        DAYS,
        (("the sun is out {s}. any tip?", "{s}太阳很好,做什么好?"),),
        (("go out with a friend {s} and take water.", "{s}和朋友出去,带上水。"),),
    ),
    "plan": Topic(
        PLANNED,
        (("help me plan {s}", "帮我想想{s}做什么"),),
        (("first do the work, then see a friend {s}.", "{s}先做事,然后见朋友。"),),
    ),
    "gift": Topic(
        PEOPLE,
        (("what can i give my {s}?", "给{s}什么好?"), ("i need a gift for my {s}", "我要给{s}买东西")),
        (("give your {s} a book or a flower with some kind words.", "给{s}一本书或者花,说好听的话。"),),
    ),
    "thank": Topic(
        PEOPLE,
        (("how do i thank my {s}?", "怎么谢谢{s}?"),),
        (("say thank you to your {s} and help with some work.", "对{s}说谢谢,帮忙做事。"),),
    ),
    "talk": Topic(
        PEOPLE,
        (("how do i talk to my {s}?", "怎么和{s}说话?"),),
        (("ask your {s} about the day and listen well.", "问{s}今天怎么样,好好听。"),),
    ),
    "sorry_to": Topic(
        PEOPLE,
        (("how do i say sorry to my {s}?", "怎么对{s}说对不起?"),),
        (("tell your {s} the truth and say you are sorry.", "对{s}说真话,说对不起。"),),
    ),
    "visit": Topic(
        PEOPLE,
        (("my {s} comes tomorrow. any tip?", "{s}明天来,做什么好?"),),
        (("make tea for your {s} and sit and talk.", "给{s}做茶,坐下来说话。"),),
    ),
    "angry": Topic(
        PEOPLE,
        (("my {s} is not happy with me", "{s}对我不高兴"),),
        (("ask your {s} what is wrong and listen.", "问{s}怎么了,好好听。"),),
    ),
    "find": Topic(
        SMALL,
        (("i can not find my {s}", "我找不到我的{s}"), ("where is my {s}?", "我的{s}在哪里?")),
        (("look near the bed and ask at home about the {s}.", "看看床上,问家里人{s}在哪里。"),),
    ),
    "buy": Topic(
        THINGS,
        (("where can i buy a {s}?", "哪里可以买{s}?"),),
        (("a shop near the school has a {s} for you.", "学校前面的店有{s}。"),),
    ),
    "clean": Topic(
        WASHED,
        (("how do i clean a {s}?", "怎么洗{s}?"),),
        (("use a little water on the {s} and wait until it is dry.", "用一点水洗{s},等一下就好。"),),
    ),
    "color": Topic(
        THINGS,
        (("what color {s} is good?", "什么颜色的{s}好?"),),
        (("a blue {s} is good, it is not too big for the eye.", "蓝色的{s}好看,红色的也好。"),),
    ),
    "old": Topic(
        THINGS,
        (("my {s} is old", "我的{s}旧了"),),
        (("you can give the old {s} to a friend or buy a new {s}.", "你可以把旧的{s}给朋友,买新的{s}。"),),
    ),
    "word": Topic(
        WORDS,
        (("what is {s} in chinese?", "{z}用英文怎么说?"), ("say {s} in chinese", "用英文说{z}")),
        (("{s} is {z} in chinese.", "{z}用英文说是{e}。"),),
    ),
    "spell": Topic(
        WORDS,
        (("use the word {s} in a line", "用{z}写一句话"),),
        (("here is a line: i like the {s} very much.", "好的: 我很喜欢{z}。"),),
    ),
    "learn": Topic(
        SKILLS,
        (("how can i learn to {s}?", "怎么学{s}?"), ("i want to {s} well", "我想学好{s}")),
        (("start small, {s} a little each day and ask for help.", "从小的开始,每天{s}一点,可以问人。"),),
    ),
    "teach": Topic(
        SKILLS,
        (("can you help me {s}?", "可以帮我{s}吗?"),),
        (("yes, we can {s} step by step.", "可以,我们一步一步{s}。"),),
    ),
    "hard": Topic(
        SKILLS,
        (("it is hard to {s}", "{s}很难"),),
        (("it is hard at first, but you can {s} if you try each day.", "开始很难,但是每天{s}就会好。"),),
    ),
    "when": Topic(
        SKILLS,
        (("when is a good time to {s}?", "什么时候{s}好?"),),
        (("the morning is a good time to {s}.", "早上{s}很好。"),),
    ),
    "feel": Topic(
        FEELINGS,
        (("i am {s}", "我{s}"), ("i feel {s} today", "我今天{s}")),
        (("i am sorry that you are {s}. sit down and drink hot tea.", "你{s},我也难过。坐下来喝热茶。"),),
    ),
    "friend_feels": Topic(
        FEELINGS,
        (("my friend is {s}", "我朋友{s}"),),
        (("go to your friend, ask why your friend is {s} and help.", "去看朋友,问为什么{s},帮一下。"),),
    ),
    "sleep": Topic(
        NONE,
        (("i can not sleep", "我睡不好"),),
        (("drink water, read a book and do not look at the light.", "喝水,看书,早一点睡。"),),
    ),
    "happy": Topic(
        NONE,
        (("i am happy today", "我今天很高兴"),),
        (("that is good, tell a friend about it.", "很好,告诉朋友吧。"),),
    ),
    "joke": Topic(
        NONE,
        (("tell me a short story", "说一个小故事"),),
        (("a cat and a dog see the rain. the cat says: we are home.", "猫和狗看见下雨,猫说: 我们在家里。"),),
    ),
    "number": Topic(
        NONE,
        (("tell me a number", "说一个数"),),
        (("my number is 7. it is more than 6 and less than 8.", "我说7,7比6大,比8小。"),),
    ),
    "can": Topic(
        NONE,
        (("what can you do?", "你会什么?"),),
        (("i can count, write small programs and talk with you.", "我会数数,会写小函数,也可以和你说话。"),),
    ),
}
