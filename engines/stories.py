"""Stories that the offline conversationalist tells: each longer than half a minute when spoken."""

STORIES = (
    """Once upon a time there was a lighthouse keeper named Martha, who lived alone on a small island. Every
    evening she climbed the two hundred steps to the top and lit the great lamp, so that the ships would find
    their way home. One autumn night a storm broke the glass, and the wind blew out the flame again and again.
    Martha had no spare glass and no help. So she took every mirror from her little house, the one from the
    hall, the one from the bedroom, even the tiny one from her purse, and set them in a ring around a single
    candle. The light was weak, but the mirrors threw it far across the black water. In the morning a fishing
    boat came to the pier. The crew had been lost all night, they said, until they saw something on the horizon
    that twinkled like a star. They asked her what it was. Martha smiled and said, just a candle that had a lot
    of friends. And from that day on, the fishermen brought her a new mirror every year.""",
    """There was once a clockmaker in a mountain village who was so proud of his clocks that he could not bear
    to be late. He ate at noon exactly, he slept at nine exactly, and he never stopped to talk to anyone in the
    street. One winter a child came into his shop with a broken watch. It had belonged to her grandfather, and
    she asked whether he could make it run backwards, because she wanted the old days to come again. The
    clockmaker wanted to laugh, but she looked so serious that he sat down beside her instead. He opened the
    watch, and while he worked she told him about her grandfather, how he whistled, how he carved small wooden
    birds, and how he always had time for a story. When the watch was mended it was long past nine. The
    clockmaker had forgotten to look. He could not make the watch run backwards, but every Sunday after that the
    child came to his shop, and for an hour he let all of his clocks stand still.""",
    """A long time ago a young fox lived at the edge of a great forest, and she was afraid of the dark. Every
    night, while the other foxes went out to play, she stayed at home and counted the stones in the wall. One
    evening an old owl landed above her door and asked her why she was not outside. Because I can not see what
    is there, said the fox. The owl thought about it for a while. Then come with me, she said, and do not look,
    only listen. So the fox closed her eyes and followed the sound of the owl's wings. She heard the river
    telling its long story to the stones. She heard the mice under the leaves, and the trees that creaked like
    old chairs, and far away the bells of the village. When she opened her eyes again she stood in the very
    middle of the forest, and it was as dark as could be. But she was not afraid, for she knew every sound by
    name. Since then, they say, foxes have such large ears.""",
    """Many years ago a baker in a harbour town found a letter in a sack of flour. It had come from across the
    sea, and it said only this: whoever you are, I hope that your bread is good. There was no name and no
    address. The baker liked the letter so much that he baked a small answer into a biscuit, wrapped it in
    paper, and gave it to a sailor, who promised to leave it wherever the flour came from. Half a year later
    there was a second letter in a sack. The biscuit was hard, it said, but the words were fresh. And so they
    wrote to each other, the baker and the stranger, for eleven years, one letter each spring and one biscuit
    each autumn. Then one morning an old woman walked into the bakery with flour on her sleeves. She looked at
    the shelves, she bought a loaf, she took a bite, and she said, yes, it is good. The baker knew at once who
    she was, and he put the kettle on.""",
)
