"""The words that fill the slots of requests, in English and Chinese.

Many words, most of them in several topics, so that a reply's word is learned to be the request's, not to be
remembered. No word is part of another of its list. Each is meant to make sense in the topics that have the
list; a few are odd there ("my friend is lost").
"""

from __future__ import annotations

Pair = tuple[str, str]  # English, Chinese

COOKED: tuple[Pair, ...] = (
    ("tea", "茶"),
    ("coffee", "咖啡"),
    ("rice", "米饭"),
    ("soup", "汤"),
    ("eggs", "鸡蛋"),
    ("noodles", "面条"),
    ("corn", "玉米"),
    ("beans", "豆子"),
    ("porridge", "粥"),
    ("dumplings", "饺子"),
)
CUT: tuple[Pair, ...] = (
    ("cake", "蛋糕"),
    ("bread", "面包"),
    ("cheese", "奶酪"),
    ("meat", "肉"),
    ("fish", "鱼"),
    ("melon", "西瓜"),
    ("pizza", "披萨"),
    ("tofu", "豆腐"),
    ("pie", "馅饼"),
    ("candy", "糖"),
)
FOODS: tuple[Pair, ...] = (
    *COOKED,
    *CUT,
    ("milk", "牛奶"),
    ("juice", "果汁"),
    ("honey", "蜂蜜"),
    ("salad", "沙拉"),
)
PEOPLE: tuple[Pair, ...] = (
    ("friend", "朋友"),
    ("brother", "哥哥"),
    ("mother", "妈妈"),
    ("teacher", "老师"),
    ("sister", "姐姐"),
    ("father", "爸爸"),
    ("uncle", "叔叔"),
    ("aunt", "阿姨"),
    ("neighbor", "邻居"),
    ("doctor", "医生"),
    ("boss", "老板"),
    ("student", "学生"),
    ("driver", "司机"),
    ("son", "儿子"),
)
SMALL: tuple[Pair, ...] = (
    ("book", "书"),
    ("pen", "笔"),
    ("cup", "杯子"),
    ("ball", "球"),
    ("hat", "帽子"),
    ("shoe", "鞋"),
    ("key", "钥匙"),
    ("phone", "手机"),
    ("toy", "玩具"),
    ("map", "地图"),
    ("bag", "包"),
    ("ring", "戒指"),
)
WASHED: tuple[Pair, ...] = (
    ("cup", "杯子"),
    ("ball", "球"),
    ("hat", "帽子"),
    ("shoe", "鞋"),
    ("chair", "椅子"),
    ("table", "桌子"),
    ("box", "盒子"),
    ("bike", "自行车"),
    ("toy", "玩具"),
    ("bowl", "碗"),
    ("spoon", "勺子"),
    ("plate", "盘子"),
)
THINGS: tuple[Pair, ...] = (
    *SMALL,
    *(pair for pair in WASHED if pair not in SMALL),
    ("flower", "花"),
    ("lamp", "灯"),
    ("clock", "钟"),
)
DAYS: tuple[Pair, ...] = (
    ("today", "今天"),
    ("tomorrow", "明天"),
    ("this weekend", "周末"),
    ("next week", "下周"),
    ("this afternoon", "下午"),
    ("on friday", "星期五"),
    ("on sunday", "星期日"),
)
PLANNED: tuple[Pair, ...] = (
    ("today", "今天"),
    ("tomorrow", "明天"),
    ("tonight", "今晚"),
    ("this weekend", "周末"),
    ("next week", "下周"),
    ("next month", "下个月"),
    ("this afternoon", "下午"),
)
TIMES: tuple[Pair, ...] = (*DAYS, ("tonight", "今晚"), ("next month", "下个月"))
SKILLS: tuple[Pair, ...] = (
    ("read", "看书"),
    ("write", "写字"),
    ("count", "数数"),
    ("cook", "做饭"),
    ("swim", "游泳"),
    ("run", "跑步"),
    ("sing", "唱歌"),
    ("dance", "跳舞"),
    ("draw", "画画"),
    ("drive", "开车"),
    ("type", "打字"),
    ("skate", "滑冰"),
    ("climb", "爬山"),
    ("sew", "缝衣服"),
)
FEELINGS: tuple[Pair, ...] = (
    ("sad", "难过"),
    ("tired", "很累"),
    ("cold", "很冷"),
    ("sick", "不舒服"),
    ("angry", "生气"),
    ("lonely", "孤单"),
    ("bored", "无聊"),
    ("afraid", "害怕"),
    ("hungry", "很饿"),
    ("busy", "很忙"),
    ("worried", "担心"),
    ("lost", "迷路了"),
)
WORDS: tuple[Pair, ...] = (
    ("apple", "苹果"),
    ("egg", "鸡蛋"),
    ("cake", "蛋糕"),
    ("tea", "茶"),
    ("rice", "米饭"),
    ("milk", "牛奶"),
    ("bread", "面包"),
    ("fish", "鱼"),
    ("book", "书"),
    ("pen", "笔"),
    ("cup", "杯子"),
    ("ball", "球"),
    ("flower", "花"),
    ("hat", "帽子"),
    ("key", "钥匙"),
    ("chair", "椅子"),
    ("table", "桌子"),
    ("lamp", "灯"),
    ("box", "盒子"),
    ("map", "地图"),
    ("dog", "狗"),
    ("cat", "猫"),
    ("bird", "鸟"),
    ("horse", "马"),
    ("friend", "朋友"),
    ("brother", "哥哥"),
    ("sister", "姐姐"),
    ("doctor", "医生"),
    ("house", "房子"),
    ("door", "门"),
    ("school", "学校"),
    ("water", "水"),
    ("rain", "雨"),
    ("snow", "雪"),
    ("wind", "风"),
    ("sun", "太阳"),
    ("moon", "月亮"),
    ("river", "河"),
    ("tree", "树"),
    ("day", "天"),
)
NONE: tuple[Pair, ...] = (("", ""),)
