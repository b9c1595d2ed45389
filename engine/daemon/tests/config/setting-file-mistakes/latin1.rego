package watchkeeper
# für alle
