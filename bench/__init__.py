"""Speed and size of the gateway beside what people would use without it, as ratios measured in one go.

Absolute numbers of a shared machine say little; so everything here is interleaved (A, B, C, A, B, C …), every
figure is a median over rounds, and what is compared with the budget is the median of the rounds' own ratios.
"""
