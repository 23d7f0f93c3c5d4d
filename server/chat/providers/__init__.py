"""Adapters: each speaks one provider's protocol upstream and OpenAI's form towards us."""
