"""One folder for each format of model files, behind one interface (`interface`); `registry` lists them."""
