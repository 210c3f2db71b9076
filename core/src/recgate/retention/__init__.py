"""How long recordings are kept, what keeps them longer, and how one is removed so that everybody can see it was."""
