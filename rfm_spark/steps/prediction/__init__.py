"""Prediction: who is still alive, how often they will order, and what they will spend.

`statistics` builds each customer's x, t_x and T on Spark; the models are numpy alone, fit apart from apply.
"""
