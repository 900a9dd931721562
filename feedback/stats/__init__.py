"""Statistics of judgments: pure functions on numpy arrays, without Django.

agreement           percent, Krippendorff's alpha, Gwet's AC1 and AC2, Fleiss' and Cohen's kappa; one bootstrap of all
pairs_of_people     agreement of every two people
dawid_skene         who is right how often, and what is true, without gold
preference_models   Bradley-Terry with order, length and style, Davidson's ties; intervals clustered by annotator
rankings            Plackett-Luce, with ties
fragility           how few votes would flip first place
evidence            gold as an e-process, e-BH over people, drift, self-consistency, confidence sequence
slopes              how far position, length and style draw a person
pace                seconds, bits per label, cost of a useful label
intervals           Wilson's interval, the interval of a clustered share

Annotators, tasks, models are whole numbers from 0 on (indices into lists that the caller keeps). What cannot be said
is `nan`, never a warning.
"""
