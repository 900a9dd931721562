"""The site: settings, urls and base templates. Nothing imports this package."""
